"""What can be done to an Apache Kafka of ours, and what its groups have left to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from ampybus_contract import Envelope
from ampybus_contract.bindings.kafka import KafkaTransport
from ampybus_contract.bindings.protocol import Endpoint, Subscription
from ampybus_contract.brokers import kafka_stream
from ampybus_contract.brokers.kafka_address import KafkaAddress
from ampybus_contract.brokers.kafka_distribution import why_not
from ampybus_contract.brokers.kafka_server import KafkaServer, kafka_server
from ampybus_contract.brokers.kafka_stream import KafkaProbe, KafkaSource
from ampybus_contract.brokers.location import elsewhere
from ampybus_contract.brokers.proxy import fault_proxy
from ampybus_contract.contract import default_contract
from ampybus_contract.errors import BrokerError
from ampybus_contract.harness.workload import Workload

CONTRACT = default_contract()
WORKLOAD = Workload(CONTRACT, 5)
PATTERN = f"{CONTRACT.topic.prefix}.{WORKLOAD.env}.{WORKLOAD.keyed_domain()}.>"
SECONDS = 60.0
WHY_NOT = why_not()
pytestmark = [pytest.mark.kafka, pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))]
Scene = Callable[[Endpoint, KafkaProbe], Coroutine[Any, Any, None]]


@pytest.fixture(scope="module")
def server() -> Iterator[KafkaServer]:
    with kafka_server() as running:
        yield running


def play(server: KafkaServer, scene: Scene) -> None:
    """Run a scene on topics of its own, with a deadline."""

    async def main() -> None:
        source = KafkaSource(server.url, CONTRACT, "kafka", server=server)
        async with asyncio.timeout(SECONDS), source.stream() as (endpoint, probe):
            await scene(endpoint, probe)

    asyncio.run(main())


@asynccontextmanager
async def opened(endpoint: Endpoint) -> AsyncIterator[KafkaTransport]:
    transport = KafkaTransport()
    await transport.open(endpoint)
    try:
        yield transport
    finally:
        await transport.close()


def bar() -> Envelope:
    return WORKLOAD.envelope(WORKLOAD.keyed_domain())


def test_a_killed_server_comes_back_at_its_address_with_what_it_acknowledged(
    server: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_stream, "ANSWER_SECONDS", 2.0)

    async def scene(endpoint: Endpoint, probe: KafkaProbe) -> None:
        async with opened(endpoint) as transport:
            await transport.send(bar())
        before = server.pid
        await probe.kill()
        with pytest.raises(BrokerError):
            await probe.backlog()
        await probe.restart()
        assert server.pid != before
        assert len(await probe.stored()) == 1

    play(server, scene)


def test_clients_of_the_link_stay_behind_it(server: KafkaServer) -> None:
    async def scene(endpoint: Endpoint, probe: KafkaProbe) -> None:
        port, own_port = probe.link
        async with fault_proxy(port, own_port=own_port) as link:
            through = Endpoint(elsewhere(endpoint.url, f"127.0.0.1:{link.port}"), prefix=endpoint.prefix)
            async with opened(through) as transport:
                await transport.send(bar())
                link.cut()
                waiting = asyncio.create_task(transport.send(bar()))
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.3):
                        await asyncio.shield(waiting)
                assert len(await probe.stored()) == 1
                link.restore()
                await waiting
                assert len(await probe.stored()) == 2

    play(server, scene)


def test_a_given_cluster_has_no_levers(server: KafkaServer) -> None:
    async def main() -> None:
        source = KafkaSource(server.url, CONTRACT, "kafka")
        async with asyncio.timeout(SECONDS), source.stream() as (_endpoint, probe):
            with pytest.raises(BrokerError, match="a server of the run's own"):
                await probe.kill()
            with pytest.raises(BrokerError, match="a server of the run's own"):
                assert probe.link

    asyncio.run(main())


def test_the_backlog_and_the_lag_are_what_is_not_settled(server: KafkaServer) -> None:
    async def scene(endpoint: Endpoint, probe: KafkaProbe) -> None:
        assert await probe.backlog() == 0
        async with opened(endpoint) as transport:
            for _ in range(3):
                await transport.send(bar())
            await probe.inject(WORKLOAD.envelope(WORKLOAD.dedupe_domain()))
            messages = await transport.consume(Subscription(PATTERN, "group"))
            taken = [await anext(messages) for _ in range(3)]
            assert await probe.backlog() == await transport.lag("group") == 3
            await taken[0].ack()
            await taken[1].ack()
            assert await transport.lag("group") == 1
            assert await transport.lag("another group") == 0
        assert await probe.backlog() == 1

    play(server, scene)


def test_a_group_that_committed_nothing_has_all_before_it(server: KafkaServer) -> None:
    async def scene(endpoint: Endpoint, probe: KafkaProbe) -> None:
        for _ in range(2):
            await probe.inject(bar())
        topic = endpoint.prefix + ".".join(PATTERN.split(".")[:3]) + ".v1"
        consumer = AIOKafkaConsumer(
            topic,
            **KafkaAddress.parse(endpoint.url).options("1.2"),
            group_id=f"{endpoint.prefix}group",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        await consumer.start()
        first = await consumer.getone()
        assert await probe.backlog() == 2
        await consumer.commit({TopicPartition(first.topic, first.partition): first.offset + 1})
        await consumer.stop()
        assert await probe.backlog() == 1

    play(server, scene)
