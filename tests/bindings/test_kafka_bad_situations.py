"""The binding on a real Apache Kafka whose topic is gone or small, and that is gone or silent itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from ampybus_contract import Envelope
from ampybus_contract.bindings import kafka_group as group_module
from ampybus_contract.bindings import kafka_producer as producer_module
from ampybus_contract.bindings.kafka import KafkaTransport
from ampybus_contract.bindings.kafka_batches import NotTakenError, Record
from ampybus_contract.bindings.kafka_producer import KafkaProducer
from ampybus_contract.bindings.protocol import Endpoint, Handler, Settlement, Subscription
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.brokers.kafka_distribution import why_not
from ampybus_contract.brokers.kafka_server import KafkaServer, kafka_server
from ampybus_contract.brokers.kafka_stream import KafkaProbe, KafkaSource
from ampybus_contract.contract import default_contract
from ampybus_contract.errors import BrokerError, PublishError
from ampybus_contract.harness.workload import Workload

CONTRACT = default_contract()
SECONDS = 90.0
SMALL_BYTES = 5_000
WHY_NOT = why_not()
pytestmark = [pytest.mark.kafka, pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))]
Lever = Callable[[KafkaProbe], Coroutine[Any, Any, None]]
Scene = Callable[[Endpoint, KafkaProbe], Coroutine[Any, Any, None]]
WORKLOAD = Workload(CONTRACT, 7)


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


def bar(size: int = 0) -> Envelope:
    return WORKLOAD.envelope(WORKLOAD.keyed_domain(), 0, size)


FAMILY = ".".join(bar().topic.split(".")[:4])
EVERYTHING = Subscription(f"{FAMILY}.>", "group")


async def opened(endpoint: Endpoint) -> ReferenceBinding:
    binding = ReferenceBinding(KafkaTransport(), CONTRACT)
    await binding.start(endpoint)
    return binding


def putting(got: asyncio.Queue[Envelope]) -> Handler:
    async def handle(envelope: Envelope) -> Settlement:
        got.put_nowait(envelope)
        return Settlement.OK

    return handle


async def create(probe: KafkaProbe, place: Endpoint, **settings: str) -> None:
    name = f"{place.prefix}{FAMILY}"
    await probe.topics.admin.create_topics([NewTopic(name, 1, 1, topic_configs=settings)])
    probe.topics.names.add(name)


async def delete(probe: KafkaProbe, place: Endpoint) -> None:
    name = f"{place.prefix}{FAMILY}"
    await probe.topics.admin.delete_topics([name])
    probe.topics.names.discard(name)


@contextlib.asynccontextmanager
async def without_broker(probe: KafkaProbe, lever: Lever) -> AsyncIterator[None]:
    """Pause or kill the broker, and have it back after the block."""
    await lever(probe)
    try:
        yield
    finally:
        await (probe.go_on() if lever is KafkaProbe.pause else probe.restart())


@contextlib.contextmanager
def heard(logger: str, words: str) -> Iterator[asyncio.Event]:
    """A sign that these words came in a log."""
    sign = asyncio.Event()

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if words in record.getMessage():
                sign.set()

    ear = Ear()
    logging.getLogger(logger).addHandler(ear)
    try:
        yield sign
    finally:
        logging.getLogger(logger).removeHandler(ear)


def test_a_record_over_the_topics_own_ceiling_is_definite_and_those_after_it_are_stored(
    server: KafkaServer,
) -> None:
    async def scene(endpoint: Endpoint, probe: KafkaProbe) -> None:
        place = Endpoint(server.url, prefix=f"{endpoint.prefix}small.")
        await create(probe, place, **{"max.message.bytes": str(SMALL_BYTES)})
        binding = await opened(place)
        got: asyncio.Queue[Envelope] = asyncio.Queue()
        await binding.subscribe(EVERYTHING, putting(got))
        sent = [bar() for _ in range(6)]
        large = bar(SMALL_BYTES)
        await binding.publish(sent[0])
        for after in sent[1:3]:
            with pytest.raises(
                PublishError, match=r"max\.message\.bytes of the Kafka topic .*Fix:"
            ) as caught:
                await binding.publish(large)
            assert caught.value.definite
            await binding.publish(after)
        beside = [sent[3], large, sent[4]]
        outcomes = await asyncio.gather(*map(binding.publish, beside), return_exceptions=True)
        assert isinstance(outcomes[1], PublishError)
        await binding.publish(sent[5])
        stored = [item for item, outcome in zip(beside, outcomes, strict=True) if outcome is None]
        for wanted in [*sent[:3], *stored, sent[5]]:
            assert await got.get() == wanted
        await binding.stop()

    play(server, scene)


def test_a_topic_deleted_under_a_consumer_is_logged_and_consumed_when_it_is_back(server: KafkaServer) -> None:
    async def scene(endpoint: Endpoint, probe: KafkaProbe) -> None:
        place = Endpoint(server.url, prefix=f"{endpoint.prefix}passing.")
        await create(probe, place)
        binding = await opened(place)
        got: asyncio.Queue[Envelope] = asyncio.Queue()
        await binding.subscribe(EVERYTHING, putting(got))
        before, after = bar(), bar()
        await binding.publish(before)
        assert await got.get() == before
        with heard(group_module.__name__, "got none any more. Fix: create it") as gone:
            await delete(probe, place)
            await gone.wait()
        with heard(group_module.__name__, "is there again") as back:
            await create(probe, place)
            await binding.publish(after)
            assert await got.get() == after
            await back.wait()
        await binding.stop()

    play(server, scene)


def test_publishing_to_a_deleted_topic_leaves_the_outcome_open_and_hangs_nothing(server: KafkaServer) -> None:
    async def scene(endpoint: Endpoint, probe: KafkaProbe) -> None:
        place = Endpoint(server.url, prefix=f"{endpoint.prefix}passing.")
        await create(probe, place)
        binding = await opened(place)
        await binding.publish(bar())
        await delete(probe, place)
        with pytest.raises(PublishError, match="may be stored") as caught:
            await binding.publish(bar())
        assert not caught.value.definite
        await binding.stop()

    play(server, scene)


def test_a_broker_killed_between_publish_and_ack_takes_the_same_message_after_its_restart_once(
    server: KafkaServer,
) -> None:
    async def scene(endpoint: Endpoint, probe: KafkaProbe) -> None:
        binding = await opened(endpoint)
        got: asyncio.Queue[Envelope] = asyncio.Queue()
        await binding.subscribe(EVERYTHING, putting(got))
        first, open_, last = bar(), bar(), bar()
        await binding.publish(first)
        assert await got.get() == first
        async with without_broker(probe, KafkaProbe.kill):
            with pytest.raises(PublishError, match="Fix: publish again with the same message_id") as caught:
                await binding.publish(open_)
            assert not caught.value.definite
        await binding.publish(open_)
        await binding.publish(last)
        assert [await got.get(), await got.get()] == [open_, last]
        assert got.empty()
        await binding.stop()

    play(server, scene)


def test_a_silent_broker_at_start_is_an_error_within_its_deadline(server: KafkaServer) -> None:
    async def scene(endpoint: Endpoint, probe: KafkaProbe) -> None:
        async with without_broker(probe, KafkaProbe.pause):
            with pytest.raises(BrokerError, match=r"expected a Kafka broker, got .*Fix: see that it runs"):
                await opened(endpoint)

    play(server, scene)


def test_a_broker_that_just_came_back_and_names_none_is_asked_again(
    server: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What aiokafka makes of an answer without brokers, once; the brokers are real."""
    fetch, left = AIOKafkaClient.fetch_all_metadata, [KafkaError("Unable to get cluster metadata")]

    async def fenced_at_first(client: AIOKafkaClient) -> Any:
        if left:
            raise left.pop()
        return await fetch(client)

    async def scene(endpoint: Endpoint, _probe: KafkaProbe) -> None:
        binding = await opened(endpoint)
        got: asyncio.Queue[Envelope] = asyncio.Queue()
        monkeypatch.setattr(AIOKafkaClient, "fetch_all_metadata", fenced_at_first)
        await binding.subscribe(EVERYTHING, putting(got))
        assert not left
        sent = bar()
        await binding.publish(sent)
        assert await got.get() == sent
        await binding.stop()

    play(server, scene)


def test_a_producer_that_is_made_anew_while_the_binding_ends_is_not_left_open(
    server: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()
    made: list[AIOKafkaProducer] = []

    class Slow(AIOKafkaProducer):  # type: ignore[misc]
        async def start(self) -> None:
            await super().start()
            made.append(self)
            if len(made) > 1:
                begun.set()
                await asyncio.Event().wait()

    monkeypatch.setattr(producer_module, "AIOKafkaProducer", Slow)

    async def scene(endpoint: Endpoint, _probe: KafkaProbe) -> None:
        producer = KafkaProducer(bootstrap_servers=server.url.removeprefix("kafka://"))
        await producer.start()
        producer.failed = True
        others = asyncio.all_tasks()
        sent = producer.send(f"{endpoint.prefix}ampy.dev.bars.v1", Record(b"key", b"", []))
        await begun.wait()
        await producer.end(0.1)
        with pytest.raises(NotTakenError, match="ProducerClosed"):
            await sent
        assert [item._closed for item in made] == [True, True]
        assert asyncio.all_tasks() - others == set()

    play(server, scene)


@pytest.mark.parametrize("lever", [KafkaProbe.pause, KafkaProbe.kill])
def test_a_stop_without_a_broker_returns_leaves_no_task_and_the_rest_comes_at_the_next_start(
    lever: Lever,
    server: KafkaServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ampybus_contract.bindings.reference.STOP_SECONDS", 0.1)

    async def scene(endpoint: Endpoint, probe: KafkaProbe) -> None:
        sent = [bar() for _ in range(6)]
        stuck = asyncio.Event()

        async def hang(envelope: Envelope) -> Settlement:
            if envelope == sent[3]:
                stuck.set()
                await asyncio.Event().wait()
            return Settlement.OK

        others = asyncio.all_tasks()
        binding = await opened(endpoint)
        for envelope in sent:
            await binding.publish(envelope)
        await binding.subscribe(EVERYTHING, hang)
        await stuck.wait()
        async with without_broker(probe, lever):
            await binding.stop()
            assert asyncio.all_tasks() - others == set()
        got: asyncio.Queue[Envelope] = asyncio.Queue()
        again = await opened(endpoint)
        await again.subscribe(EVERYTHING, putting(got))
        arrived: list[Envelope] = []
        while not all(envelope in arrived for envelope in sent[3:]):
            arrived.append(await got.get())
        await again.stop()

    play(server, scene)


def test_a_broker_killed_before_the_commit_is_committed_to_when_it_is_back(server: KafkaServer) -> None:
    async def scene(endpoint: Endpoint, probe: KafkaProbe) -> None:
        go_on = asyncio.Event()
        taken = asyncio.Event()

        async def handle(_envelope: Envelope) -> Settlement:
            taken.set()
            await go_on.wait()
            return Settlement.OK

        binding = await opened(endpoint)
        await binding.subscribe(EVERYTHING, handle)
        await binding.publish(bar())
        await taken.wait()
        async with without_broker(probe, KafkaProbe.kill):
            with heard("ampybus_contract.bindings.kafka_trouble", "expected to commit") as troubled:
                go_on.set()
                await troubled.wait()
        while await probe.backlog():
            await asyncio.sleep(0.1)
        await binding.stop()

    play(server, scene)
