"""One consumer group member on Kafka: what is handed out, what is done, and what may be committed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from ampybus_contract.bindings.kafka_ends import end_consumer
from ampybus_contract.bindings.transport import Incoming
from ampybus_contract.contract.chapters import KafkaMapping
from ampybus_contract.envelope import Envelope, Headers
from ampybus_contract.envelope.pattern import matches

BATCH = 64
POLL_MS = 1_000
COMMIT_PAUSE_SECONDS = 0.05
COMMIT_SECONDS = 2.0
REVOKE_SECONDS = 5.0
TROUBLE_PAUSE_SECONDS = 0.5


@dataclass(slots=True)
class Share:
    """What this member holds of one partition, until it is revoked."""

    next: int = 0
    committed: int = 0
    held: dict[int, None] = field(default_factory=dict)
    begun: set[int] = field(default_factory=set)
    revoked: bool = False

    def take(self, offset: int) -> None:
        """Note a message as handed out."""
        self.next = offset + 1
        self.held[offset] = None

    def skip(self, offset: int) -> None:
        """Note a message as none of ours."""
        self.next = offset + 1

    def begin(self, offset: int) -> bool:
        """Whether work on a message may begin; after a revoke it may not."""
        if not self.revoked:
            self.begun.add(offset)
        return not self.revoked

    def done(self, offset: int) -> None:
        """Note a message as settled."""
        self.held.pop(offset, None)
        self.begun.discard(offset)

    @property
    def settled(self) -> int:
        """The offset before which everything is settled: the one to commit."""
        return next(iter(self.held), self.next)


def envelope_of(record: ConsumerRecord, rule: KafkaMapping, prefix: str) -> Envelope:
    """The envelope in a record, its topic restored (D30)."""
    headers = {name: (value or b"").decode(errors="surrogateescape") for name, value in record.headers}
    topic = headers.pop(rule.topic_header, record.topic.removeprefix(prefix))
    return Envelope(topic, Headers(headers), record.value or b"")


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
        self.committer = asyncio.create_task(self._commit_on())

    async def messages(self) -> AsyncIterator[Incoming]:
        """Everything under the pattern, without end; other messages of the same topics are passed over."""
        while True:
            try:
                batches = await self.consumer.getmany(timeout_ms=POLL_MS, max_records=BATCH)
            except KafkaError:
                await asyncio.sleep(TROUBLE_PAUSE_SECONDS)
                continue
            for place, records in batches.items():
                share = self.shares.setdefault(place, Share(records[0].offset, records[0].offset))
                for record in records:
                    if share.revoked:
                        break
                    envelope = envelope_of(record, self.rule, self.prefix)
                    if not matches(self.pattern, envelope.topic):
                        share.skip(record.offset)
                        self.progress.set()
                        continue
                    share.take(record.offset)
                    yield Incoming(
                        (*place, record.offset),
                        envelope,
                        partial(self._ack, share, record.offset),
                        partial(share.begin, record.offset),
                    )

    async def _ack(self, share: Share, offset: int) -> None:
        share.done(offset)
        self.progress.set()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Nothing to do: a share begins with its first message."""

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

        What is not committed is delivered again, which costs a repetition and loses nothing.
        """
        async with self.committing:
            settled = {place: share.settled for place, share in self.shares.items()}
            ahead = {
                place: offset for place, offset in settled.items() if offset > self.shares[place].committed
            }
            if not ahead:
                return True
            try:
                async with asyncio.timeout(COMMIT_SECONDS):
                    await self.consumer.commit(ahead)
            except (KafkaError, TimeoutError):
                return False
            for place, offset in ahead.items():
                if place in self.shares:
                    self.shares[place].committed = offset
            return True
