"""What Kafka holds after a position in each partition, and what comes, outside all groups (D27)."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import ConsumerStoppedError, KafkaError, OffsetOutOfRangeError

from ampybus_contract.bindings.kafka_ends import end_consumer, ended_on_failure
from ampybus_contract.bindings.kafka_parts import visible_parts
from ampybus_contract.bindings.kafka_trouble import KafkaTrouble
from ampybus_contract.bindings.transport import Incoming, Position, nothing
from ampybus_contract.envelope import Envelope
from ampybus_contract.envelope.pattern import matches

LOG = logging.getLogger(__name__)
ANSWER_SECONDS = 5.0
CLOSE_SECONDS = 3.0
NEW_PARTS_SECONDS = 5.0
TROUBLE_PAUSE_SECONDS = 0.5
POLL_MS = 500
FETCH_WAIT_MS = 100
BATCH = 64


class KafkaFollower:
    """Hands out the records of every partition under a pattern, each partition in stored order.

    A partition is a part of the stream. Its name holds the identity of its topic where the broker tells it,
    so that a topic that is deleted and made again is read from its start. Partitions and topics that are new
    are found within ``NEW_PARTS_SECONDS``. While the broker is away this waits, and says so in the log.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        topics: re.Pattern[str],
        pattern: str,
        after: Mapping[str, int],
        envelope_of: Callable[[ConsumerRecord], Envelope],
    ) -> None:
        self.options = options
        self.topics = topics
        self.pattern = pattern
        self.envelope_of = envelope_of
        self.next = {part: number + 1 for part, number in after.items()}
        self.parts: dict[TopicPartition, str] = {}
        self.consumer: AIOKafkaConsumer | None = None
        self.looked: float | None = None
        self.behind = 0
        self.homeless = False
        self.ended = asyncio.Event()
        self.trouble = KafkaTrouble(f"follow {pattern}")

    async def messages(self) -> AsyncIterator[Incoming]:
        """Everything under the pattern after the given positions, until this is closed."""
        while not self.ended.is_set():
            try:
                batches = await self._poll()
            except ConsumerStoppedError:
                return
            except (KafkaError, OSError) as error:
                self.trouble.note(error)
                await self._pause()
                continue
            for place, records in batches.items():
                part = self.parts[place]
                for record in records:
                    self.next[part] = record.offset + 1
                    envelope = self.envelope_of(record)
                    if matches(self.pattern, envelope.topic):
                        yield Incoming(Position(part, record.offset), envelope, nothing, behind=self.behind)

    async def close(self) -> None:
        """Disconnect, within ``CLOSE_SECONDS`` also from a broker that is gone."""
        self.ended.set()
        consumer, self.consumer = self.consumer, None
        if consumer is not None:
            await end_consumer(consumer, CLOSE_SECONDS)

    async def _poll(self) -> dict[TopicPartition, list[ConsumerRecord]]:
        consumer = self.consumer or await self._connected()
        now = asyncio.get_running_loop().time()
        if self.looked is None or now > self.looked + NEW_PARTS_SECONDS:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._look(consumer)
            self.looked = now
            self.trouble.calm()
        try:
            found: dict[TopicPartition, list[ConsumerRecord]] = await consumer.getmany(
                timeout_ms=POLL_MS, max_records=BATCH
            )
        except OffsetOutOfRangeError as error:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._begin_again(consumer, dict(error.args[0]))
            return {}
        self.behind = sum(
            max(0, (consumer.highwater(place) or 0) - records[-1].offset - 1)
            for place, records in found.items()
        )
        return found

    async def _connected(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            **self.options,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )
        async with ended_on_failure(partial(end_consumer, consumer, CLOSE_SECONDS)):
            async with asyncio.timeout(ANSWER_SECONDS):
                await consumer.start()
            if self.ended.is_set():
                raise ConsumerStoppedError
        self.consumer, self.looked = consumer, None
        return consumer

    async def _look(self, consumer: AIOKafkaConsumer) -> None:
        """Read the partitions that there are now: known ones from where they are, others from their start."""
        parts = await visible_parts(consumer._client, self.topics)
        self._tell(bool(parts))
        if parts == self.parts and self.looked is not None:
            return
        consumer.assign(list(parts))
        for place, part in parts.items():
            consumer.seek(place, self.next.setdefault(part, 0))
        self.parts = parts

    async def _begin_again(self, consumer: AIOKafkaConsumer, places: Mapping[TopicPartition, int]) -> None:
        """Go on from the first record that partitions have, as they do not have the one that was next.

        That of a new partition is not at 0 where the broker dropped the oldest.
        """
        starts = await consumer.beginning_offsets(list(places))
        for place, start in starts.items():
            if places[place] > 0:
                LOG.error(
                    "BROKER expected %s to hold what was stored from %d on, got another range: going on from "
                    "%d. Fix: let it keep records for longer than consumers are away",
                    self.parts[place],
                    places[place],
                    start,
                )
            self.next[self.parts[place]] = start
            consumer.seek(place, start)

    def _tell(self, found: bool) -> None:
        """Say in the log when there is no topic, and when there is one again."""
        if not found and not self.homeless:
            LOG.error(
                "BROKER expected a Kafka topic for %s, got none. Fix: create it, or let the user Read it",
                self.pattern,
            )
        if found and self.homeless:
            LOG.warning("There is a Kafka topic for %s now", self.pattern)
        self.homeless = not found

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(TROUBLE_PAUSE_SECONDS):
                await self.ended.wait()
        except TimeoutError:
            return
