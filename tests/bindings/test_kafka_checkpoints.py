"""Checkpoints on a real Apache Kafka: kills, restarts, partitions and topics that come and go."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import NewPartitions, NewTopic
from aiokafka.admin.records_to_delete import RecordsToDelete

from ampybus_contract import Envelope
from ampybus_contract.bindings import kafka_follow, kafka_trouble
from ampybus_contract.bindings.checkpoints import EVERYTHING, Checkpoints
from ampybus_contract.bindings.kafka import KafkaTransport
from ampybus_contract.bindings.protocol import Endpoint, Settlement, Subscription
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.brokers.kafka_distribution import why_not
from ampybus_contract.brokers.kafka_server import KafkaServer, kafka_server
from ampybus_contract.brokers.kafka_stream import KafkaProbe
from ampybus_contract.contract import default_contract
from ampybus_contract.harness.workload import Workload
from tests.bindings.test_kafka_bad_situations import heard, play

CONTRACT = default_contract()
KEYS = 8
WHY_NOT = why_not()
pytestmark = [pytest.mark.kafka, pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))]
WORKLOAD = Workload(CONTRACT, 7)
CHILD = """
import asyncio, sys
from pathlib import Path
from ampybus_contract.bindings.kafka import KafkaTransport
from ampybus_contract.bindings.protocol import Endpoint, Settlement, Subscription
from ampybus_contract.bindings.reference import ReferenceBinding

async def handle(envelope):
    print(envelope.headers["message_id"], flush=True)
    return Settlement.OK

async def main(url, prefix, state, pattern):
    binding = ReferenceBinding(KafkaTransport())
    await binding.start(Endpoint(url, prefix=prefix, state=Path(state)))
    await binding.resume(Subscription(pattern, "group"), handle)
    await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def server() -> Iterator[KafkaServer]:
    with kafka_server() as running:
        yield running


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_follow, "NEW_PARTS_SECONDS", 0.2)


def bars(count: int) -> list[Envelope]:
    return [WORKLOAD.envelope(WORKLOAD.keyed_domain(), number % KEYS) for number in range(count)]


FAMILY = ".".join(bars(1)[0].topic.split(".")[:4])
EVERY = Subscription(f"{FAMILY}.>", "group")


class Reader:
    """A binding that goes on from its checkpoint; what the handler took is in ``took``, as it came.

    It forgets its effects, so that what is not handed out again is known by the checkpoint alone.
    """

    def __init__(self, place: Endpoint, state: Path, held: Envelope | None = None) -> None:
        (state / "effects.sqlite").unlink(missing_ok=True)
        self.endpoint = Endpoint(place.url, prefix=place.prefix, state=state)
        self.binding = ReferenceBinding(KafkaTransport(), CONTRACT)
        self.took: list[Envelope] = []
        self.grown = asyncio.Event()
        self.held = held

    async def start(self) -> None:
        await self.binding.start(self.endpoint)
        await self.binding.resume(EVERY, self.handle)

    async def handle(self, envelope: Envelope) -> Settlement:
        if envelope == self.held:
            await asyncio.Event().wait()
        self.took.append(envelope)
        self.grown.set()
        return Settlement.OK

    async def takes(self, wanted: Sequence[Envelope]) -> None:
        """Wait until it took and settled all of these, and see that it took no more, each key in order."""
        while len(self.took) < len(wanted):
            self.grown.clear()
            await self.grown.wait()
        (group,) = self.binding.groups
        while any(incoming.envelope in self.took for incoming in group.held.values()):
            await asyncio.sleep(0.01)
        assert by_key(self.took) == by_key(wanted)


@contextlib.asynccontextmanager
async def reading(place: Endpoint, state: Path, held: Envelope | None = None) -> AsyncIterator[Reader]:
    """A reader that is killed after the block."""
    reader = Reader(place, state, held)
    await reader.start()
    try:
        yield reader
    finally:
        await reader.binding.kill()


def by_key(envelopes: Sequence[Envelope]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for item in envelopes:
        found.setdefault(item.headers["partition_key"], []).append(item.headers["message_id"])
    return found


async def publish(place: Endpoint, envelopes: Sequence[Envelope]) -> None:
    binding = ReferenceBinding(KafkaTransport(), CONTRACT)
    await binding.start(place)
    for item in envelopes:
        await binding.publish(item)
    await binding.stop()


async def create(probe: KafkaProbe, place: Endpoint, partitions: int = 1) -> str:
    name = f"{place.prefix}{FAMILY}"
    await probe.topics.admin.create_topics([NewTopic(name, partitions, 1)])
    probe.topics.names.add(name)
    return name


async def delete(probe: KafkaProbe, name: str) -> None:
    await probe.topics.admin.delete_topics([name])
    probe.topics.names.discard(name)


def watermarks(state: Path) -> dict[str, int]:
    """The common watermark of each partition, by its number."""
    store = Checkpoints(state / "checkpoints.sqlite")
    found = {part.split("/")[1].split("@")[0]: keys[EVERYTHING] for part, keys in store.of("group").items()}
    store.close()
    return found


def test_after_a_kill_each_partition_goes_on_where_its_keys_were(server: KafkaServer, tmp_path: Path) -> None:
    async def scene(endpoint: Endpoint, _probe: KafkaProbe) -> None:
        made, after = bars(6 * KEYS), bars(2 * KEYS)
        held = made[2 * KEYS]
        key = by_key(made)[held.headers["partition_key"]]
        left = [item for item in made if item.headers["message_id"] in key[2:]]
        await publish(endpoint, made)
        async with reading(endpoint, tmp_path, held) as first:
            await first.takes([item for item in made if item not in left])
        await publish(endpoint, after)
        async with reading(endpoint, tmp_path) as second:
            await second.takes([*left, *after])
        assert len(watermarks(tmp_path)) > 1
        async with reading(endpoint, tmp_path) as third:
            last = bars(KEYS)
            await publish(endpoint, last)
            await third.takes(last)

    play(server, scene)


def test_a_killed_process_leaves_no_gap(server: KafkaServer, tmp_path: Path) -> None:
    async def scene(endpoint: Endpoint, _probe: KafkaProbe) -> None:
        made = bars(60 * KEYS)
        await publish(endpoint, made)
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", CHILD, endpoint.url, endpoint.prefix, str(tmp_path), EVERY.pattern),
            stdout=asyncio.subprocess.PIPE,
        )
        assert child.stdout is not None
        told = [(await child.stdout.readline()).decode().strip() for _ in range(20 * KEYS)]
        child.send_signal(signal.SIGKILL)
        told += (await child.stdout.read()).decode().split()
        await child.wait()
        first = [item for item in made if item.headers["message_id"] in told]
        assert by_key(first) == by_key(sorted(first, key=lambda one: told.index(one.headers["message_id"])))
        missing = [item for item in made if item not in first]
        assert missing
        async with reading(endpoint, tmp_path) as second:
            while not set(by_ids(missing)) <= set(by_ids(second.took)):
                second.grown.clear()
                await second.grown.wait()
        again = [item for item in second.took if item in first]
        assert len(again) <= KEYS
        assert by_key(second.took) == by_key([item for item in made if item in second.took])

    play(server, scene)


def by_ids(envelopes: Sequence[Envelope]) -> list[str]:
    return [item.headers["message_id"] for item in envelopes]


def test_a_topic_and_partitions_that_appear_later_are_read_from_their_start(
    server: KafkaServer, tmp_path: Path
) -> None:
    async def scene(endpoint: Endpoint, probe: KafkaProbe) -> None:
        place = Endpoint(endpoint.url, prefix=f"{endpoint.prefix}later.")
        sent = bars(8 * KEYS)
        with heard(kafka_follow.__name__, "got none. Fix: create it") as missed:
            async with reading(place, tmp_path) as first:
                await missed.wait()
                with heard(kafka_follow.__name__, "There is a Kafka topic") as there:
                    name = await create(probe, place)
                    await publish(place, sent[: 2 * KEYS])
                    await first.takes(sent[: 2 * KEYS])
                    assert there.is_set()
                await probe.topics.admin.create_partitions({name: NewPartitions(2)})
                await publish(place, sent[2 * KEYS : 4 * KEYS])
                await first.takes(sent[: 4 * KEYS])
        await probe.topics.admin.create_partitions({name: NewPartitions(4)})
        await publish(place, sent[4 * KEYS :])
        async with reading(place, tmp_path) as second:
            await second.takes(sent[4 * KEYS :])
        assert set(watermarks(tmp_path)) == {"0", "1", "2", "3"}

    play(server, scene)


def test_a_broker_that_is_killed_under_it_is_logged_and_followed_when_it_is_back(
    server: KafkaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_trouble, "CALM_SECONDS", 0.1)

    async def scene(endpoint: Endpoint, probe: KafkaProbe) -> None:
        sent = bars(4 * KEYS)
        await publish(endpoint, sent[: 2 * KEYS])
        async with reading(endpoint, tmp_path) as reader:
            await reader.takes(sent[: 2 * KEYS])
            with (
                heard(kafka_trouble.__name__, f"expected to follow {EVERY.pattern}") as gone,
                heard(kafka_trouble.__name__, f"It works again to follow {EVERY.pattern}") as back,
            ):
                await probe.kill()
                try:
                    await gone.wait()
                finally:
                    await probe.restart()
                await publish(endpoint, sent[2 * KEYS :])
                await reader.takes(sent)
                await back.wait()
        async with reading(endpoint, tmp_path) as second:
            last = bars(KEYS)
            await publish(endpoint, last)
            await second.takes(last)

    play(server, scene)


def test_a_reader_that_starts_and_ends_without_a_broker_waits_and_ends(
    server: KafkaServer, tmp_path: Path
) -> None:
    async def scene(endpoint: Endpoint, probe: KafkaProbe) -> None:
        sent = bars(KEYS)
        await publish(endpoint, sent)
        early, late = Reader(endpoint, tmp_path / "early"), Reader(endpoint, tmp_path / "late")
        for reader in (early, late):
            reader.endpoint.state.mkdir() if reader.endpoint.state else None
            await reader.binding.start(reader.endpoint)
        with heard(kafka_trouble.__name__, "expected to follow") as gone:
            await probe.kill()
            try:
                await early.binding.resume(EVERY, early.handle)
                await late.binding.resume(EVERY, late.handle)
                await gone.wait()
                async with asyncio.timeout(kafka_follow.CLOSE_SECONDS + 15):
                    await early.binding.stop()
            finally:
                await probe.restart()
        await late.takes(sent)
        await late.binding.stop()
        assert not early.took

    play(server, scene)


def test_a_topic_that_was_made_again_is_read_from_its_start(server: KafkaServer, tmp_path: Path) -> None:
    async def scene(endpoint: Endpoint, probe: KafkaProbe) -> None:
        place = Endpoint(endpoint.url, prefix=f"{endpoint.prefix}again.")
        sent = bars(9 * KEYS)
        name = await create(probe, place)
        await publish(place, sent[: 2 * KEYS])
        async with reading(place, tmp_path) as first:
            await first.takes(sent[: 2 * KEYS])
            with (
                heard(kafka_follow.__name__, "got none. Fix: create it") as gone,
                heard(kafka_follow.__name__, "There is a Kafka topic"),
            ):
                await delete(probe, name)
                await gone.wait()
            await create(probe, place)
            await publish(place, sent[2 * KEYS : 5 * KEYS])
            await first.takes(sent[: 5 * KEYS])
        await delete(probe, name)
        await create(probe, place)
        await publish(place, sent[5 * KEYS :])
        async with reading(place, tmp_path) as second:
            await second.takes(sent[5 * KEYS :])

    play(server, scene)


def test_records_that_the_broker_dropped_while_nobody_read_are_told_and_passed(
    server: KafkaServer, tmp_path: Path
) -> None:
    async def scene(endpoint: Endpoint, probe: KafkaProbe) -> None:
        place = Endpoint(endpoint.url, prefix=f"{endpoint.prefix}short.")
        sent = bars(4 * KEYS)
        name = await create(probe, place)
        whole = TopicPartition(name, 0)
        await publish(place, sent[: 3 * KEYS])
        await probe.topics.admin.delete_records({whole: RecordsToDelete(before_offset=KEYS)})
        with heard(kafka_follow.__name__, "got another range") as told:
            async with reading(place, tmp_path) as first:
                await first.takes(sent[KEYS : 3 * KEYS])
            assert not told.is_set()
            await publish(place, sent[3 * KEYS :])
            await probe.topics.admin.delete_records({whole: RecordsToDelete(before_offset=3 * KEYS + 2)})
            async with reading(place, tmp_path) as second:
                await second.takes(sent[3 * KEYS + 2 :])
            assert told.is_set()

    play(server, scene)


def test_following_ends_when_the_transport_is_closed(server: KafkaServer) -> None:
    async def scene(endpoint: Endpoint, _probe: KafkaProbe) -> None:
        before = asyncio.all_tasks()
        transport = KafkaTransport()
        await transport.open(endpoint)
        sent = bars(3)
        for item in sent:
            await transport.send(item)
        followed = transport.follow(EVERY.pattern, {})
        got = [(await anext(followed)).envelope for _ in sent]
        assert by_key(got) == by_key(sent)
        rest = asyncio.ensure_future(anext(followed, None))
        await asyncio.sleep(0)
        await transport.close()
        assert await rest is None
        assert asyncio.all_tasks() <= before

    play(server, scene)
