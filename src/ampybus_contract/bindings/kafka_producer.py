"""A producer that is made anew after a failure, and finds the partition of a key once.

aiokafka's idempotent producer counts a refused record as sent: the broker then misses a number in the
sequence and refuses everything after it in that partition.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import ClusterAuthorizationFailedError, KafkaError, ProducerClosed
from aiokafka.partitioner import DefaultPartitioner

from ampybus_contract.bindings import kafka_batches
from ampybus_contract.bindings.kafka_batches import Lane, NotTakenError, Record
from ampybus_contract.bindings.kafka_ends import end_producer, ended_on_failure

CLOSE_SECONDS = 3.0
PLACES_KEPT = 65_536


class KafkaProducer:
    """One aiokafka producer at a time; the next one begins when the one before has no record left.

    Records of a partition are stored in the order of the calls, also of those that wait for a topic to be
    found. ``partitioner`` is as aiokafka has it. A user who may only read gets a producer that sends nothing,
    and another try with each batch.
    """

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.partitioner: Any = DefaultPartitioner()
        self.turn = asyncio.Lock()
        self.current: AIOKafkaProducer | None = None
        self.failed = False
        self.lanes: dict[TopicPartition, Lane] = {}
        self.places: dict[tuple[str, bytes | None], Lane] = {}
        self.searching: dict[str, list[tuple[Record, asyncio.Future[None]]]] = {}
        self.searches: dict[str, asyncio.Task[None]] = {}
        self.ending: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connect. Raises what aiokafka raises, and then nothing is left open."""
        try:
            self._use(await self._started())
        except ClusterAuthorizationFailedError:
            self._use(await self._started(reading=True))
            self.failed = True

    def send(self, topic: str, record: Record) -> asyncio.Future[None]:
        """Take a record; the future ends when it is stored.

        With NotTakenError where it was surely not handed over, with NoAckError where it was. The record is
        not kept while it is waited for.
        """
        waiter = asyncio.get_running_loop().create_future()
        current = self.current
        if current is None:
            waiter.set_exception(NotTakenError(ProducerClosed()))
        elif topic in self.searching:
            self.searching[topic].append((record, waiter))
        else:
            lane = self.places.get((topic, record.key)) or self._lane(current, topic, record.key)
            if lane is not None:
                lane.add(record, waiter, current)
            else:
                self.searching[topic] = [(record, waiter)]
                self.searches[topic] = asyncio.create_task(self._search(current, topic))
        return waiter

    async def end(self, seconds: float) -> None:
        """Send what is waiting and disconnect, within a number of seconds for each."""
        handing = [lane.task for lane in self.lanes.values() if lane.task is not None]
        if handing or self.searches:
            await asyncio.wait([*handing, *self.searches.values()], timeout=seconds)
        current, self.current = self.current, None
        for search in self.searches.values():
            search.cancel()
        await asyncio.gather(*self.searches.values(), return_exceptions=True)
        for topic in list(self.searching):
            self._refuse(topic, ProducerClosed())
        await asyncio.gather(*(lane.close() for lane in self.lanes.values()))
        if current is not None:
            await self._end(current, seconds)
        await asyncio.gather(*self.ending)

    def _lane(self, producer: AIOKafkaProducer, topic: str, key: bytes | None) -> Lane | None:
        """The lane of a key, None where the topic is not known. It is kept until the metadata are new."""
        partitions = producer.client.cluster.partitions_for_topic(topic)
        if partitions is None:
            return None
        available = producer.client.cluster.available_partitions_for_topic(topic) or ()
        place = TopicPartition(topic, self.partitioner(key, sorted(partitions), sorted(available)))
        lane = self.lanes.get(place)
        if lane is None:
            lane = self.lanes[place] = Lane(place, self._ready, self._broken)
        if key is not None:
            if len(self.places) >= PLACES_KEPT:
                self.places.clear()
            self.places[topic, key] = lane
        return lane

    async def _search(self, producer: AIOKafkaProducer, topic: str) -> None:
        """Find a topic, and give the records that wait for it to their lanes in the order they came in."""
        try:
            async with asyncio.timeout(kafka_batches.ACCEPT_SECONDS):
                await producer.partitions_for(topic)
        except (KafkaError, OSError, TimeoutError) as error:
            self._refuse(topic, error)
            return
        finally:
            del self.searches[topic]
        for record, waiter in self.searching.pop(topic):
            lane = self._lane(producer, topic, record.key)
            assert lane is not None
            lane.add(record, waiter, producer)

    def _refuse(self, topic: str, reason: Exception) -> None:
        """Send nothing of what waits for a topic."""
        for _, waiter in self.searching.pop(topic):
            if not waiter.done():
                waiter.set_exception(NotTakenError(reason))

    async def _ready(self) -> AIOKafkaProducer:
        """The producer, made anew where it failed. Raises what aiokafka raises."""
        if self.current is None:
            raise ProducerClosed
        if self.failed:
            async with self.turn:
                if self.failed:
                    await self._replace(self.current)
        return self.current

    def _broken(self, producer: AIOKafkaProducer | None) -> None:
        if producer is self.current:
            self.failed = True

    async def _replace(self, old: AIOKafkaProducer) -> None:
        """Go on with a new one. What the old one still has must be settled before, to keep its order."""
        await old.flush()
        self._use(await self._started())
        self.failed = False
        task = asyncio.create_task(self._end(old, CLOSE_SECONDS))
        self.ending.add(task)
        task.add_done_callback(self.ending.discard)

    def _use(self, producer: AIOKafkaProducer) -> None:
        """Partitions of keys hold as long as the metadata of this producer."""
        self.current = producer
        self.places.clear()
        producer.client.cluster.add_listener(lambda _metadata: self.places.clear())

    async def _end(self, producer: AIOKafkaProducer, seconds: float) -> None:
        await end_producer(producer, seconds)
        for lane in self.lanes.values():
            lane.cut(producer)

    async def _started(self, reading: bool = False) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(**self.options)
        async with ended_on_failure(partial(end_producer, producer, CLOSE_SECONDS)):
            await (producer.client.bootstrap() if reading else producer.start())
        return producer
