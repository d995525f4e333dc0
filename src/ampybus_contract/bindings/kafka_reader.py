"""What Kafka holds, read again outside all groups."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from ampybus_contract.bindings.kafka_ends import end_consumer
from ampybus_contract.bindings.transport import Incoming, Span, nothing
from ampybus_contract.envelope import Envelope
from ampybus_contract.envelope.pattern import matches
from ampybus_contract.errors import BrokerError

ANSWER_SECONDS = 10.0
POLL_MS = 200
CLOSE_SECONDS = 3.0
MILLISECOND = 1_000_000


class KafkaReader:
    """Reads topics from the offsets of a time to the ends they have when the reading begins.

    Partitions come one after another in the order of their names, each in its own order: the same each time.
    """

    def __init__(self, options: dict[str, Any], topics: re.Pattern[str], producer: AIOKafkaProducer) -> None:
        self.options = options
        self.topics = topics
        self.producer = producer

    async def read(
        self, pattern: str, span: Span, envelope_of: Callable[[ConsumerRecord], Envelope]
    ) -> AsyncIterator[Incoming]:
        """What is stored under a pattern. Raises BrokerError where the broker does not give it."""
        try:
            async with self._consumer() as consumer:
                for place, start, end in await self._bounds(consumer, span):
                    async for record in _records(consumer, place, start, end):
                        envelope = envelope_of(record)
                        if matches(pattern, envelope.topic):
                            yield Incoming((*place, record.offset), envelope, nothing)
        except (KafkaError, OSError, TimeoutError) as error:
            raise BrokerError(
                f"BROKER expected Kafka to give what it holds, got {type(error).__name__}. "
                "Fix: see that it runs"
            ) from error

    @asynccontextmanager
    async def _consumer(self) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = AIOKafkaConsumer(**self.options, group_id=None, enable_auto_commit=False)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await consumer.start()
            yield consumer
        finally:
            await end_consumer(consumer, CLOSE_SECONDS)

    async def _bounds(self, consumer: AIOKafkaConsumer, span: Span) -> list[tuple[TopicPartition, int, int]]:
        """Each partition with the first offset to read and the first not to."""
        async with asyncio.timeout(ANSWER_SECONDS):
            names = sorted(filter(self.topics.fullmatch, await consumer.topics()))
            places = [
                TopicPartition(name, number)
                for name in names
                for number in sorted(await self.producer.partitions_for(name))
            ]
            if not places:
                return []
            consumer.assign(places)
            starts: dict[TopicPartition, int | None] = dict(await consumer.beginning_offsets(places))
            ends = await consumer.end_offsets(places)
            if span.start is not None:
                starts = await _offsets_at(consumer, places, span.start)
            after = {} if span.end is None else await _offsets_at(consumer, places, span.end + MILLISECOND)
        bounds = []
        for place in places:
            start, end = starts[place], after.get(place)
            if start is not None:
                bounds.append((place, start, ends[place] if end is None else min(end, ends[place])))
        return bounds


async def _offsets_at(
    consumer: AIOKafkaConsumer, places: list[TopicPartition], moment: int
) -> dict[TopicPartition, int | None]:
    """The first offset stored at or after a moment in nanoseconds; None where there is none."""
    found = await consumer.offsets_for_times(dict.fromkeys(places, max(0, moment // MILLISECOND)))
    return {place: None if found[place] is None else found[place].offset for place in places}


async def _records(
    consumer: AIOKafkaConsumer, place: TopicPartition, start: int, end: int
) -> AsyncIterator[ConsumerRecord]:
    consumer.seek(place, start)
    while start < end:
        async with asyncio.timeout(ANSWER_SECONDS):
            batches = await consumer.getmany(place, timeout_ms=POLL_MS)
        for record in batches.get(place, ()):
            if record.offset >= end:
                return
            start = record.offset + 1
            yield record
        start = max(start, await consumer.position(place))
