"""Three real nats-servers on loopback that hold each stream together, without a container."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator, Sequence

import nats.errors
import nats.js.errors

from ampybus_contract.brokers.nats_client import NatsClient
from ampybus_contract.brokers.nats_server import READY_SECONDS, NatsServer, nats_server
from ampybus_contract.brokers.readiness import on_a_free_port
from ampybus_contract.errors import BrokerError

SERVERS = 3
ANSWER_SECONDS = 2.0
PAUSE_SECONDS = 0.05
TRIAL = "AMPYBUS_TRIAL"
CLUSTER = """server_name: {name}
cluster {{ name: ampybus, listen: "127.0.0.1:{port}", routes: [{routes}] }}
"""


class NatsCluster:
    """The servers, by the names that JetStream knows them by."""

    def __init__(self, servers: dict[str, NatsServer]) -> None:
        self.servers = servers

    @property
    def url(self) -> str:
        """The client URLs of all servers, with commas between."""
        return ",".join(server.url for server in self.servers.values())

    def kill(self, name: str) -> None:
        """End one server at once (kill -9); the data stay."""
        self.servers[name].kill()

    def restart(self, name: str) -> None:
        """Start a killed server again, with its data, at its address."""
        self.servers[name].restart()


def nats_cluster() -> contextlib.AbstractContextManager[NatsCluster]:
    """Start three servers on free loopback ports, and end them, with their files, with the block.

    Ready when a stream with three replicas can be made. Acknowledged messages are synced to disk at once by
    the servers that acknowledge. Raises BrokerError where that takes more than ``READY_SECONDS``.
    """
    return on_a_free_port(_start)


@contextlib.contextmanager
def _start() -> Iterator[NatsCluster]:
    ports = _free_ports(SERVERS)
    routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in ports)
    with contextlib.ExitStack() as running:
        servers = {}
        for number, port in enumerate(ports, 1):
            settings = CLUSTER.format(name=f"n{number}", port=port, routes=routes)
            servers[f"n{number}"] = running.enter_context(nats_server(settings=settings))
        cluster = NatsCluster(servers)
        asyncio.run(_ready(cluster.url))
        yield cluster


def _free_ports(count: int) -> Sequence[int]:
    with contextlib.ExitStack() as held:
        found = [held.enter_context(socket.socket()) for _ in range(count)]
        for end in found:
            end.bind(("127.0.0.1", 0))
        return [end.getsockname()[1] for end in found]


async def _ready(url: str) -> None:
    """Wait until the servers found each other and a leader: until they take a stream of three replicas."""
    client = NatsClient()
    await client.reach(url, READY_SECONDS, allow_reconnect=False)
    try:
        jetstream = client.jetstream(timeout=ANSWER_SECONDS)
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                await jetstream.add_stream(name=TRIAL, subjects=[TRIAL], num_replicas=SERVERS)
                await jetstream.delete_stream(TRIAL)
                return
            except (nats.errors.Error, TimeoutError) as error:
                if time.monotonic() > deadline:
                    raise BrokerError(
                        f"BROKER expected a cluster of {SERVERS} nats-servers within {READY_SECONDS} s, got "
                        f"{type(error).__name__}: {error}. Fix: see the load"
                    ) from error
            await asyncio.sleep(PAUSE_SECONDS)
    finally:
        await client.end()
