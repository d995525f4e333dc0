"""One consumer group member on Kafka: what is handed out, what is done, and what may be committed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field
from functools import partial

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, KafkaError
from aiokafka.structs import OffsetAndMetadata

from ampybus_contract.bindings.kafka_ends import end_consumer
from ampybus_contract.bindings.kafka_trouble import KafkaTrouble
from ampybus_contract.bindings.transport import DONE, Incoming
from ampybus_contract.contract.chapters import KafkaMapping
from ampybus_contract.envelope import Envelope, Headers
from ampybus_contract.envelope.pattern import matches

LOG = logging.getLogger(__name__)
BATCH = 256
POLL_MS = 1_000
COMMIT_PAUSE_SECONDS = 0.05
COMMIT_SECONDS = 2.0
REVOKE_SECONDS = 5.0
TROUBLE_PAUSE_SECONDS = 0.5


@dataclass(slots=True)
class Share:
    """What this member has of one partition, until it is revoked.

    ``held`` are the offsets that were handed out and are not settled, each with whether work on it began.
    """

    next: int = 0
    committed: int = 0
    held: dict[int, bool] = field(default_factory=dict)
    revoked: bool = False

    def skip(self, offset: int) -> None:
        """Note a message as none of ours."""
        self.next = offset + 1

    def begin(self, offset: int) -> bool:
        """Whether work on a message may begin; after a revoke it may not."""
        if self.revoked:
            return False
        if offset in self.held:
            self.held[offset] = True
        return True

    @property
    def begun(self) -> bool:
        """Whether there is work that began and did not end."""
        return any(self.held.values())

    @property
    def settled(self) -> int:
        """The offset before which everything is settled: the one to commit."""
        return next(iter(self.held), self.next)


def envelope_of(record: ConsumerRecord, rule: KafkaMapping, prefix: str) -> Envelope:
    """The envelope in a record, its topic restored (D30)."""
    try:
        headers = {name: value.decode() for name, value in record.headers}
    except (AttributeError, UnicodeDecodeError):
        headers = {name: (value or b"").decode(errors="surrogateescape") for name, value in record.headers}
    topic = headers.pop(rule.topic_header, None)
    if topic is None:
        topic = record.topic.removeprefix(prefix)
    return Envelope(topic, Headers.adopt(headers), record.value or b"")


class KafkaGroup(ConsumerRebalanceListener):  # type: ignore[misc]
    """Hands out the messages of a pattern, and commits per partition only what is settled without a gap.

    When partitions are revoked, work that has begun is finished and committed first, for ``REVOKE_SECONDS``
    at most; what has not begun is let go and comes to the next owner.
    """

    def __init__(
        self, name: str, consumer: AIOKafkaConsumer, rule: KafkaMapping, prefix: str, pattern: str
    ) -> None:
        self.name = name
        self.consumer = consumer
        self.rule = rule
        self.prefix = prefix
        self.pattern = pattern
        self.shares: dict[TopicPartition, Share] = {}
        self.progress = asyncio.Event()
        self.committing = asyncio.Lock()
        self.taking = KafkaTrouble(f"take messages of {pattern} for the group {name}")
        self.settling = KafkaTrouble(f"commit what the group {name} settled of {pattern}")
        self.homeless = False
        self.committer = asyncio.create_task(self._commit_on())

    async def messages(self) -> AsyncIterator[Incoming]:
        """Everything under the pattern, without end; other messages of the same topics are passed over."""
        rule, prefix, pattern = self.rule, self.prefix, self.pattern
        while True:
            try:
                batches = await self.consumer.getmany(timeout_ms=POLL_MS, max_records=BATCH)
            except KafkaError as error:
                self.taking.note(error)
                await asyncio.sleep(TROUBLE_PAUSE_SECONDS)
                continue
            self.taking.calm()
            for place, records in batches.items():
                topic, number = place
                share = self.shares.setdefault(place, Share(records[0].offset, records[0].offset))
                begin, ack = share.begin, self._ack
                records.reverse()
                while records and not share.revoked:
                    record = records.pop()
                    offset = record.offset
                    envelope = envelope_of(record, rule, prefix)
                    if not matches(pattern, envelope.topic):
                        share.skip(offset)
                        self.progress.set()
                        continue
                    share.next, share.held[offset] = offset + 1, False
                    yield Incoming(
                        (topic, number, offset), envelope, partial(ack, share, offset), partial(begin, offset)
                    )

    def _ack(self, share: Share, offset: int) -> Awaitable[None]:
        share.held.pop(offset, None)
        if not self.progress.is_set():
            self.progress.set()
        return DONE

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Say in the log when the last topic is gone, and when one is back. A share begins with a message."""
        homeless = not self.consumer.subscription()
        if homeless and not self.homeless:
            LOG.error("BROKER expected a Kafka topic for %s, got none any more. Fix: create it", self.pattern)
        if self.homeless and not homeless:
            LOG.warning("A Kafka topic for %s is there again", self.pattern)
        self.homeless = homeless

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Finish and commit what has begun; let the rest go."""
        leaving = {place: self.shares[place] for place in revoked if place in self.shares}
        for share in leaving.values():
            share.revoked = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REVOKE_SECONDS):
                while any(share.begun for share in leaving.values()):
                    self.progress.clear()
                    await self.progress.wait()
        await self._commit()
        for place in leaving:
            del self.shares[place]

    async def lag(self) -> int:
        """Records of the group's topics from the first on that is not settled, over all members."""
        topics = self.consumer.subscription()
        places = [
            TopicPartition(topic, number)
            for topic in topics
            for number in self.consumer.partitions_for_topic(topic) or ()
        ]
        ends = await self.consumer.end_offsets(places)
        starts = await self.consumer.beginning_offsets(places)
        offsets = await asyncio.gather(*map(self._settled, places))
        return sum(
            ends[place] - max(offset, starts[place]) for place, offset in zip(places, offsets, strict=True)
        )

    async def _settled(self, place: TopicPartition) -> int:
        if place in self.shares:
            return self.shares[place].settled
        return await self.consumer.committed(place) or 0

    async def close(self, seconds: float) -> None:
        """Commit what is settled and leave the group, within a number of seconds each."""
        self.committer.cancel()
        await self._commit()
        await end_consumer(self.consumer, seconds)

    async def _commit_on(self) -> None:
        while True:
            await self.progress.wait()
            self.progress.clear()
            if not await self._commit():
                await asyncio.sleep(TROUBLE_PAUSE_SECONDS)
                self.progress.set()
            await asyncio.sleep(COMMIT_PAUSE_SECONDS)

    async def _commit(self) -> bool:
        """Commit every share that got further; False where the broker did not take it.

        What is not committed is delivered again, which costs a repetition and loses nothing. The coordinator
        is asked itself: between a new topic of the pattern and the rebalance that it brings, aiokafka's
        ``commit`` refuses what the group may still commit.
        """
        async with self.committing:
            settled = {place: share.settled for place, share in self.shares.items()}
            ahead = {
                place: OffsetAndMetadata(offset, "")
                for place, offset in settled.items()
                if offset > self.shares[place].committed
            }
            if not ahead:
                return True
            try:
                async with asyncio.timeout(COMMIT_SECONDS):
                    await self.consumer._coordinator.commit_offsets(None, ahead)
            except CommitFailedError:
                return False
            except (KafkaError, TimeoutError) as error:
                self.settling.note(error)
                return False
            self.settling.calm()
            for place, taken in ahead.items():
                if place in self.shares:
                    self.shares[place].committed = taken.offset
            return True
