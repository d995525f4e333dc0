"""The Kafka transport where no conformance check looks yet: errors, deadlines, rebalance, restart."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import pytest
from aiokafka import AIOKafkaProducer

from ampybus_contract.bindings import consumer as consumer_module
from ampybus_contract.bindings import kafka as kafka_transport
from ampybus_contract.bindings import kafka_batches
from ampybus_contract.bindings.kafka import MESSAGE_BYTES, KafkaTransport
from ampybus_contract.bindings.protocol import Endpoint, Settlement, Subscription
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.brokers import kafka_stream
from ampybus_contract.brokers.kafka_distribution import why_not
from ampybus_contract.brokers.kafka_server import KafkaServer, free_ports, kafka_server
from ampybus_contract.brokers.kafka_stream import KafkaProbe, KafkaSource
from ampybus_contract.contract import default_contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.errors import BrokerError, PublishError
from ampybus_contract.harness.workload import Workload

T = TypeVar("T")
CONTRACT = default_contract()
SECONDS = 60.0
WHY_NOT = why_not()
pytestmark = [pytest.mark.kafka, pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))]
Scene = Callable[[Endpoint, KafkaProbe], Coroutine[Any, Any, T]]


@pytest.fixture(scope="module")
def server() -> Iterator[KafkaServer]:
    with kafka_server() as running:
        yield running


def play(server: KafkaServer, scene: Scene[T]) -> T:
    """Run a scene on topics of its own, with a deadline."""

    async def main() -> T:
        async with (
            asyncio.timeout(SECONDS),
            KafkaSource(server.url, CONTRACT, "kafka").stream() as (endpoint, probe),
        ):
            return await scene(endpoint, probe)

    return asyncio.run(main())


def bar(key: int = 0, size: int = 0) -> Envelope:
    return WORKLOAD.envelope(WORKLOAD.keyed_domain(), key, size)


WORKLOAD = Workload(CONTRACT, 7)
PATTERN = ".".join([*bar().topic.split(".")[:4], ">"])


async def opened(endpoint: Endpoint) -> ReferenceBinding:
    binding = ReferenceBinding(KafkaTransport(), CONTRACT)
    await binding.start(endpoint)
    return binding


async def apply_all(_envelope: Envelope) -> Settlement:
    return Settlement.OK


async def reject(_envelope: Envelope) -> Settlement:
    return Settlement.REJECT


def test_the_ceiling_is_refused_before_sending_and_what_is_below_is_stored(server: KafkaServer) -> None:
    async def scene(endpoint: Endpoint, probe: KafkaProbe) -> None:
        binding = await opened(endpoint)
        plain = bar()
        base = await over_by(binding, plain, MESSAGE_BYTES)
        largest = Envelope(plain.topic, plain.headers, b"x" * (MESSAGE_BYTES - base))
        larger = Envelope(plain.topic, plain.headers, largest.payload + b"x")
        await binding.transport.send(largest)
        with pytest.raises(PublishError, match=f"a record within {MESSAGE_BYTES} bytes") as caught:
            await binding.transport.send(larger)
        assert caught.value.definite
        await binding.publish(plain)
        assert Counter(item.payload for item in await probe.stored()) == Counter(
            [largest.payload, plain.payload]
        )
        await binding.stop()

    play(server, scene)


async def over_by(binding: ReferenceBinding, plain: Envelope, size: int) -> int:
    """How much of the ceiling an envelope takes beside its payload, read from the refusal."""
    with pytest.raises(PublishError) as caught:
        await binding.transport.send(Envelope(plain.topic, plain.headers, b"x" * size))
    return int(str(caught.value).partition("got ")[2].partition(",")[0]) - size


def test_a_missing_topic_is_a_definite_failure_with_its_fix(server: KafkaServer) -> None:
    async def scene(endpoint: Endpoint, _probe: KafkaProbe) -> None:
        binding = await opened(Endpoint(endpoint.url, prefix="nowhere."))
        with pytest.raises(PublishError, match=r"Kafka topic nowhere\.ampy.*Fix: create it") as caught:
            await binding.publish(bar())
        assert caught.value.definite
        with pytest.raises(BrokerError, match=r"expected a Kafka topic for .*Fix: create it"):
            await binding.subscribe(Subscription(PATTERN, "group"), apply_all)
        await binding.stop()

    play(server, scene)


def test_the_bindings_own_header_is_refused(server: KafkaServer) -> None:
    async def scene(endpoint: Endpoint, probe: KafkaProbe) -> None:
        binding = await opened(endpoint)
        plain = bar()
        headers = plain.headers.with_(**{CONTRACT.kafka.topic_header: "ampy.prod.bars.v1.A.B"})
        with pytest.raises(PublishError, match="no header of the binding's own"):
            await binding.publish(Envelope(plain.topic, headers, plain.payload))
        assert await probe.stored() == []
        await binding.stop()

    play(server, scene)


def test_a_record_on_the_wire_is_what_the_contract_says(server: KafkaServer) -> None:
    async def scene(endpoint: Endpoint, probe: KafkaProbe) -> None:
        binding = await opened(endpoint)
        sent = bar()
        await binding.publish(sent)
        await probe.stored()
        name = f"{endpoint.prefix}{'.'.join(sent.topic.split('.')[:4])}"
        for place in probe.consumer.assignment():
            probe.consumer.seek(place, 0)
        probe.consumer.resume(*probe.consumer.assignment())
        record = await probe.consumer.getone()
        assert (record.topic, record.key) == (name, sent.headers["partition_key"].encode())
        assert dict(record.headers) == {
            **{header: value.encode() for header, value in sent.headers.items()},
            "ampy_topic": sent.topic.encode(),
        }
        await binding.stop()

    play(server, scene)


def test_no_broker_is_named_with_its_fix() -> None:
    (port,) = free_ports(1)
    with pytest.raises(BrokerError, match="expected a Kafka broker"):
        asyncio.run(opened(Endpoint(f"kafka://127.0.0.1:{port}")))


def test_a_silent_broker_gives_an_indefinite_outcome_and_the_repetition_takes_effect_once(
    server: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_batches, "ACK_SECONDS", 1.0)

    async def scene(endpoint: Endpoint, probe: KafkaProbe) -> None:
        binding = await opened(endpoint)
        first, again, last = bar(), bar(), bar()
        effects: list[str] = []
        done = asyncio.Event()

        async def handle(envelope: Envelope) -> Settlement:
            effects.append(envelope.headers["message_id"])
            if envelope.headers["message_id"] == last.headers["message_id"]:
                done.set()
            return Settlement.OK

        await binding.publish(first)
        os.kill(server.pid, signal.SIGSTOP)
        try:
            with pytest.raises(PublishError, match="the message may be stored") as caught:
                await binding.publish(again)
            assert not caught.value.definite
        finally:
            os.kill(server.pid, signal.SIGCONT)
        monkeypatch.setattr(kafka_batches, "ACK_SECONDS", 30.0)
        await binding.publish(again)
        await binding.publish(last)
        await binding.subscribe(Subscription(PATTERN, "group"), handle)
        await done.wait()
        assert effects == [item.headers["message_id"] for item in (first, again, last)]
        await binding.stop()

    play(server, scene)


def test_a_dead_broker_hangs_neither_publish_nor_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in (
        (kafka_batches, "ACK_SECONDS"),
        (kafka_batches, "ACCEPT_SECONDS"),
        (kafka_transport, "CLOSE_SECONDS"),
    ):
        monkeypatch.setattr(module, name, 1.0)
    monkeypatch.setattr(kafka_stream, "ANSWER_SECONDS", 2.0)

    async def main(server: KafkaServer) -> None:
        async with asyncio.timeout(SECONDS):
            source = KafkaSource(server.url, CONTRACT, "kafka")
            context = source.stream()
            endpoint, _ = await context.__aenter__()
            binding = await opened(endpoint)
            await binding.subscribe(Subscription(PATTERN, "group"), apply_all)
            await binding.publish(bar())
            os.kill(server.pid, signal.SIGKILL)
            with pytest.raises(PublishError) as caught:
                await binding.publish(bar())
            assert not caught.value.definite
            await binding.stop()
            with pytest.raises(BrokerError, match="expected Kafka to answer"):
                await context.__aexit__(None, None, None)

    with kafka_server() as server:
        asyncio.run(main(server))


def test_members_come_and_go_and_every_key_stays_in_order_and_takes_effect_once(server: KafkaServer) -> None:
    count = 240

    async def scene(endpoint: Endpoint, _probe: KafkaProbe) -> None:
        sent = [bar(key=number % 3) for number in range(count)]
        effects: list[tuple[str, Envelope]] = []
        grown = asyncio.Condition()

        def member(name: str) -> Callable[[Envelope], Coroutine[Any, Any, Settlement]]:
            async def handle(envelope: Envelope) -> Settlement:
                await asyncio.sleep(0.002)
                async with grown:
                    effects.append((name, envelope))
                    grown.notify_all()
                return Settlement.OK

            return handle

        async def until(number: int) -> None:
            async with grown:
                await grown.wait_for(lambda: len(effects) >= number)

        first, second = await opened(endpoint), await opened(endpoint)
        await first.subscribe(Subscription(PATTERN, "group"), member("first"))
        for envelope in sent[:80]:
            await first.publish(envelope)
        await until(40)
        await second.subscribe(Subscription(PATTERN, "group"), member("second"))
        for envelope in sent[80:160]:
            await second.publish(envelope)
        await until(120)
        await first.stop()
        for envelope in sent[160:]:
            await second.publish(envelope)
        await until(count)
        await second.stop()
        for key in {item.headers["partition_key"] for item in sent}:
            wanted = [item for item in sent if item.headers["partition_key"] == key]
            assert [item for _, item in effects if item.headers["partition_key"] == key] == wanted
        assert {name for name, _ in effects} == {"first", "second"}

    play(server, scene)


def test_a_consumer_that_does_not_end_in_time_is_cut_off_and_leaves_no_connection(
    server: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_transport, "CLOSE_SECONDS", 0.0)

    async def scene(endpoint: Endpoint, _probe: KafkaProbe) -> None:
        binding = await opened(endpoint)
        await binding.subscribe(Subscription(PATTERN, "group"), apply_all)
        await binding.publish(bar())
        assert isinstance(binding.transport, KafkaTransport)
        (group,) = binding.transport.groups
        connections = list(group.consumer._client._conns.values())
        await binding.stop()
        assert connections
        assert not any(connection.connected() for connection in connections)

    play(server, scene)


def test_narrow_subscriptions_of_one_group_do_not_take_each_others_messages(server: KafkaServer) -> None:
    async def scene(endpoint: Endpoint, _probe: KafkaProbe) -> None:
        sent = [bar(key=number % 3) for number in range(12)]
        topics = sorted({item.topic for item in sent})
        arrived: asyncio.Queue[tuple[str, Envelope]] = asyncio.Queue()
        binding = await opened(endpoint)
        for topic in topics:

            async def handle(envelope: Envelope, topic: str = topic) -> Settlement:
                arrived.put_nowait((topic, envelope))
                return Settlement.OK

            await binding.subscribe(Subscription(topic, "group"), handle)
        for envelope in sent:
            await binding.publish(envelope)
        taken = [await arrived.get() for _ in sent]
        for topic in topics:
            assert [item for name, item in taken if name == topic] == [
                item for item in sent if item.topic == topic
            ]
        await binding.stop()

    play(server, scene)


def test_after_a_restart_what_was_settled_is_over_and_what_was_not_comes_again(
    server: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ampybus_contract.bindings.reference.STOP_SECONDS", 0.1)

    async def scene(endpoint: Endpoint, _probe: KafkaProbe) -> None:
        sent = [bar() for _ in range(6)]
        stuck = asyncio.Event()

        async def hang(envelope: Envelope) -> Settlement:
            if envelope == sent[3]:
                stuck.set()
                await asyncio.Event().wait()
            return Settlement.OK

        binding = await opened(endpoint)
        for envelope in sent:
            await binding.publish(envelope)
        await binding.subscribe(Subscription(PATTERN, "group"), hang)
        await stuck.wait()
        await binding.stop()
        arrived: asyncio.Queue[Envelope] = asyncio.Queue()

        async def handle(envelope: Envelope) -> Settlement:
            arrived.put_nowait(envelope)
            return Settlement.OK

        again = await opened(endpoint)
        await again.subscribe(Subscription(PATTERN, "group"), handle)
        assert [await arrived.get() for _ in range(3)] == sent[3:]
        await again.stop()

    play(server, scene)


def test_what_is_settled_when_a_new_topic_comes_is_committed_before_the_rebalance(
    server: KafkaServer,
) -> None:
    async def scene(endpoint: Endpoint, _probe: KafkaProbe) -> int | None:
        binding = await opened(endpoint)
        transport = binding.transport
        assert isinstance(transport, KafkaTransport)
        await binding.subscribe(Subscription(PATTERN, "consumer"), apply_all)
        group = transport.groups[0]
        group.committer.cancel()
        await binding.publish(bar())
        while not any(share.settled for share in group.shares.values()):
            await asyncio.sleep(0.01)
        place = next(iter(group.shares))
        state = group.consumer._subscription
        state.subscribe_from_pattern({*state.subscription.topics, "made-a-moment-ago"})
        assert state.subscription.assignment is None
        while not await group._commit():
            await asyncio.sleep(0)
        committed: int | None = await group.consumer.committed(place)
        await binding.stop()
        return committed

    assert play(server, scene) == 1


def test_a_record_that_is_no_text_is_dead_lettered_byte_for_byte(server: KafkaServer) -> None:
    async def scene(endpoint: Endpoint, probe: KafkaProbe) -> None:
        binding = await opened(endpoint)
        await binding.subscribe(Subscription(PATTERN, "group"), reject)
        plain = bar()
        headers = [(name, value.encode()) for name, value in plain.headers.items()]
        headers += [("ampy_topic", plain.topic.encode()), ("x_raw", b"\xff\xfe")]
        producer: AIOKafkaProducer = probe.producer
        family = ".".join(plain.topic.split(".")[:4])
        await producer.send_and_wait(f"{endpoint.prefix}{family}", plain.payload, headers=headers)
        letters: list[Envelope] = []
        while not letters:
            letters = [item for item in await probe.stored() if ".dlq." in item.topic]
        assert letters[0].headers["x_raw"].encode(errors="surrogateescape") == b"\xff\xfe"
        assert letters[0].payload == plain.payload
        await binding.stop()

    play(server, scene)


class Heard(logging.Handler):
    """The log of the consumer, as text, and a sign that something came."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.came = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.words.append(record.getMessage())
        self.came.set()


def test_a_letter_of_an_environment_without_topics_is_given_up_with_an_error_and_not_lost(
    server: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_batches, "ACCEPT_SECONDS", 0.2)
    monkeypatch.setattr(ReferenceBinding, "backoff", lambda *_: 0.01)

    async def given_up(endpoint: Endpoint) -> str:
        heard = Heard()
        logging.getLogger(consumer_module.__name__).addHandler(heard)
        try:
            binding = await opened(endpoint)
            everywhere = ".".join([PATTERN.split(".")[0], "*", *PATTERN.split(".")[2:]])
            await binding.subscribe(Subscription(everywhere, "group"), apply_all)
            await heard.came.wait()
            await binding.stop()
        finally:
            logging.getLogger(consumer_module.__name__).removeHandler(heard)
        return heard.words[0]

    async def scene(endpoint: Endpoint, probe: KafkaProbe) -> None:
        plain = bar()
        parts = plain.topic.split(".")
        headers = [(name, value.encode()) for name, value in plain.headers.items()]
        headers.append(("ampy_topic", ".".join([parts[0], "qa", *parts[2:]]).encode()))
        family = f"{endpoint.prefix}{'.'.join(parts[:4])}"
        await probe.producer.send_and_wait(family, plain.payload, headers=headers)
        assert "create it" in await given_up(endpoint)
        assert "create it" in await given_up(endpoint), "the next consumer gets the record again"

    play(server, scene)
