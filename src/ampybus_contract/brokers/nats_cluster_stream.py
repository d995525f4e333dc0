"""A NATS cluster of the run's own, as a broker for runs whose leader can be made to change."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import nats.errors
from nats.js import JetStreamContext

from ampybus_contract.brokers.levers import LEVERS
from ampybus_contract.brokers.nats_cluster import SERVERS, NatsCluster
from ampybus_contract.brokers.nats_stream import GAPS, NatsProbe, NatsSource, broker_errors
from ampybus_contract.errors import BrokerError

ELECTION_SECONDS = 40.0
PAUSE_SECONDS = 0.05


class NatsClusterProbe(NatsProbe):
    """A probe that can also end the server that leads its stream."""

    def __init__(
        self, jetstream: JetStreamContext, stream: str, subjects: Sequence[str], cluster: NatsCluster
    ) -> None:
        super().__init__(jetstream, stream, subjects)
        self.cluster = cluster

    async def leader(self) -> str:
        """The server that leads the stream. Raises BrokerError where none does in ``ELECTION_SECONDS``."""
        return await self._leads("")

    async def change_leader(self) -> None:
        """Kill the leader (kill -9), wait until others lead the stream and its consumers, and restart it.

        Raises BrokerError where that takes more than ``ELECTION_SECONDS``.
        """
        old = await self.leader()
        await asyncio.to_thread(self.cluster.kill, old)
        try:
            await self._leads(old)
        finally:
            await asyncio.to_thread(self.cluster.restart, old)

    async def _leads(self, old: str) -> str:
        deadline = time.monotonic() + ELECTION_SECONDS
        while time.monotonic() < deadline:
            leaders = await self._leaders()
            if all(leaders) and old not in leaders:
                return leaders[0]
            await asyncio.sleep(PAUSE_SECONDS)
        raise BrokerError(
            f"BROKER expected another leader within {ELECTION_SECONDS} s, got none. Fix: see the load"
        )

    async def _leaders(self) -> list[str]:
        """Who leads the stream and each of its consumers; empty words where nobody does, or is known to."""
        try:
            stream = await self.jetstream.stream_info(self.stream)
            consumers = await self.jetstream.consumers_info(self.stream)
        except (nats.errors.Error, TimeoutError):
            return [""]
        clusters = [stream.cluster, *(item.cluster for item in consumers)]
        return [(item.leader or "") if item is not None else "" for item in clusters]


class NatsClusterSource(NatsSource):
    """Streams of three replicas. A binding is told one address, that of the leader, and learns the others."""

    replicas = SERVERS

    def __init__(self, cluster: NatsCluster, prefix: str, name: str) -> None:
        super().__init__(cluster.url, prefix, name)
        self.cluster = cluster
        self.comes_back = True
        self.levers = LEVERS | {"cluster", "member_expiry", "size_limit"}
        self.gaps = {**GAPS, "proxy": "its servers tell clients where the others are"}

    async def _add(self, jetstream: JetStreamContext, name: str) -> None:
        """Wait for a server that was killed, too: it takes a moment until it counts as there again."""
        deadline = time.monotonic() + ELECTION_SECONDS
        while True:
            try:
                await super()._add(jetstream, name)
                return
            except (nats.errors.Error, TimeoutError):
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)

    def _probe(self, jetstream: JetStreamContext, name: str) -> NatsClusterProbe:
        return NatsClusterProbe(jetstream, name, [f"{self.prefix}.>"], self.cluster)

    async def _entrance(self, probe: NatsProbe) -> str:
        assert isinstance(probe, NatsClusterProbe)
        with broker_errors():
            return self.cluster.servers[await probe.leader()].url
