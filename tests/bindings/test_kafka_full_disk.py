"""A real Apache Kafka whose disk is full shuts down; what it acknowledged is there when it has room."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from ampybus_contract import Envelope
from ampybus_contract.bindings import kafka_batches
from ampybus_contract.bindings.kafka import KafkaTransport
from ampybus_contract.bindings.protocol import Settlement, Subscription
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.brokers.kafka_distribution import why_not
from ampybus_contract.brokers.kafka_server import KafkaServer, kafka_server
from ampybus_contract.brokers.kafka_stream import KafkaProbe, KafkaSource
from ampybus_contract.contract import default_contract
from ampybus_contract.errors import PublishError
from ampybus_contract.harness.workload import Workload
from tests.brokers.small_disk import small_disk

CONTRACT = default_contract()
SECONDS = 120.0
ROUNDS = 200
MESSAGE_BYTES = 120_000
WHY_NOT = why_not()
pytestmark = [pytest.mark.kafka, pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))]
WORKLOAD = Workload(CONTRACT, 7)


async def apply(_envelope: Envelope) -> Settlement:
    return Settlement.OK


def large() -> Envelope:
    return WORKLOAD.envelope(WORKLOAD.keyed_domain(), 0, MESSAGE_BYTES)


def test_a_full_disk_leaves_the_outcome_open_and_keeps_what_was_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_batches, "ACK_SECONDS", 2.0)

    async def scene(probe: KafkaProbe, binding: ReferenceBinding, grow: Callable[[], None]) -> None:
        await binding.subscribe(Subscription(f"{'.'.join(large().topic.split('.')[:4])}.>", "group"), apply)
        stored: list[Envelope] = []
        with pytest.raises(PublishError, match=r"may be stored\. Fix: .*disk has room") as caught:
            for _ in range(ROUNDS):
                envelope = large()
                await binding.publish(envelope)
                stored.append(envelope)
        assert not caught.value.definite
        await binding.stop()
        grow()
        await probe.restart()
        found = await probe.stored()
        assert stored
        assert found[: len(stored)] == stored

    @contextlib.asynccontextmanager
    async def opened(server: KafkaServer) -> AsyncIterator[tuple[KafkaProbe, ReferenceBinding]]:
        async with KafkaSource(server.url, CONTRACT, "kafka", server=server).stream() as (place, probe):
            binding = ReferenceBinding(KafkaTransport(), CONTRACT)
            await binding.start(place)
            yield probe, binding

    with small_disk(tmp_path) as (disk, grow), kafka_server(settings=f"log.dirs={disk}/data\n") as server:

        async def main() -> None:
            async with asyncio.timeout(SECONDS), opened(server) as (probe, binding):
                await scene(probe, binding, grow)

        asyncio.run(main())
