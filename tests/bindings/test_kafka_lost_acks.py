"""A real Apache Kafka that is killed exactly at an ack: the record is stored, its producer is never told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from ampybus_contract import Envelope
from ampybus_contract.bindings import kafka_batches
from ampybus_contract.bindings.kafka import KafkaTransport
from ampybus_contract.bindings.protocol import Endpoint, Settlement, Subscription
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.brokers.kafka_distribution import why_not
from ampybus_contract.brokers.kafka_server import KafkaServer, kafka_server
from ampybus_contract.brokers.kafka_stream import KafkaSource
from ampybus_contract.brokers.location import elsewhere
from ampybus_contract.brokers.proxy import Direction, Link, fault_proxy
from ampybus_contract.contract import default_contract
from ampybus_contract.errors import PublishError
from ampybus_contract.harness.workload import Workload

CONTRACT = default_contract()
SECONDS = 120.0
WHY_NOT = why_not()
pytestmark = [pytest.mark.kafka, pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))]


@pytest.fixture(scope="module")
def server() -> Iterator[KafkaServer]:
    with kafka_server() as running:
        yield running


async def opened(endpoint: Endpoint) -> ReferenceBinding:
    binding = ReferenceBinding(KafkaTransport(), CONTRACT)
    await binding.start(endpoint)
    return binding


def test_an_ack_that_the_killed_broker_owes_is_open_and_the_same_message_takes_effect_once(
    server: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_batches, "ACK_SECONDS", 2.0)
    workload = Workload(CONTRACT, 7)
    before, sent, last = (workload.envelope(workload.keyed_domain(), 0) for _ in range(3))
    pattern = f"{'.'.join(sent.topic.split('.')[:4])}.>"

    async def main() -> None:
        source = KafkaSource(server.url, CONTRACT, "kafka", server=server)
        async with asyncio.timeout(SECONDS), source.stream() as (endpoint, probe):
            port, own_port = probe.link
            async with fault_proxy(port, own_port=own_port) as link:
                through = Endpoint(elsewhere(endpoint.url, f"127.0.0.1:{link.port}"), prefix=endpoint.prefix)
                producer = await opened(through)
                await producer.publish(before)
                link.set(Link(black_hole=True), Direction.TO_CLIENT)
                publishing = asyncio.create_task(producer.publish(sent))
                while await probe.stored() != [before, sent]:
                    assert not publishing.done()
                await probe.kill()
                link.reset()
                link.restore()
                with pytest.raises(PublishError, match=r"may be stored\. Fix: publish again with") as raised:
                    await publishing
                assert not raised.value.definite
                await probe.restart()
                assert (await probe.stored())[:2] == [before, sent]
                await producer.publish(sent)
                await producer.publish(last)
                got: asyncio.Queue[Envelope] = asyncio.Queue()

                async def handle(envelope: Envelope) -> Settlement:
                    got.put_nowait(envelope)
                    return Settlement.OK

                consumer = await opened(endpoint)
                await consumer.subscribe(Subscription(pattern, "group"), handle)
                assert [await got.get() for _ in range(3)] == [before, sent, last]
                assert got.empty()
                await consumer.stop()
                await producer.stop()

    asyncio.run(main())
