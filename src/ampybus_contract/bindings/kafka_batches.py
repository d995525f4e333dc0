"""Records on their way to one Kafka partition: many in a batch, each with its own outcome (D21, D22)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, ProducerClosed, TopicAuthorizationFailedError
from aiokafka.producer.message_accumulator import BatchBuilder

ACCEPT_SECONDS = 3.0
ACK_SECONDS = 5.0


class NotTakenError(Exception):
    """A record was surely not handed to a broker: a definite failure. ``reason`` says why."""

    def __init__(self, reason: BaseException) -> None:
        super().__init__(repr(reason))
        self.reason = reason


class NoAckError(Exception):
    """A record was handed over and not acknowledged: it may be stored, unless the broker refused it.

    ``reason`` is the broker's error, None where no answer came.
    """

    def __init__(self, reason: BaseException | None) -> None:
        super().__init__(repr(reason))
        self.reason = reason


class Record(NamedTuple):
    """What is stored of one message; names of headers are text, their values bytes."""

    key: bytes | None
    payload: bytes
    headers: list[tuple[str, bytes]]


class Batch:
    """Records that travel together, and those who wait for them.

    It is to be handed over by ``accept_by``, a time of the event loop in seconds.
    """

    __slots__ = ("accept_by", "builder", "expiry", "waiting")

    def __init__(self, builder: BatchBuilder, accept_by: float) -> None:
        self.builder = builder
        self.accept_by = accept_by
        self.waiting: list[asyncio.Future[None]] = []
        self.expiry: asyncio.TimerHandle | None = None

    def add(self, record: Record, waiter: asyncio.Future[None]) -> bool:
        """Take a record in; False where there is no room for it."""
        key, payload, headers = record
        if self.builder.append(timestamp=None, key=key, value=payload, headers=headers) is None:
            return False
        self.waiting.append(waiter)
        return True

    def stored(self) -> None:
        """Tell all who wait that their records are stored."""
        for waiter in self._left():
            waiter.set_result(None)

    def refuse(self, reason: BaseException) -> None:
        """Tell all who wait that their records were not handed over."""
        for waiter in self._left():
            waiter.set_exception(NotTakenError(reason))

    def give_up(self, reason: BaseException | None = None) -> None:
        """Tell all who wait that their records have no ack."""
        for waiter in self._left():
            waiter.set_exception(NoAckError(reason))

    def _left(self) -> list[asyncio.Future[None]]:
        """Those who wait yet; they are told once, and who was cancelled meanwhile is not."""
        if self.expiry is not None:
            self.expiry.cancel()
        waiting, self.waiting = self.waiting, []
        return [waiter for waiter in waiting if not waiter.done()]


class Lane:
    """The records of one partition, handed over batch by batch in the order in which they were added.

    ``ready`` gives the producer to hand over to, and ``broken`` is told of one that failed. A batch waits
    ``ACCEPT_SECONDS`` for its turn and ``ACK_SECONDS`` for the broker's answer. What one producer has is
    settled before another one gets something, so that the order stays (D20).
    """

    def __init__(
        self,
        place: TopicPartition,
        ready: Callable[[], Awaitable[AIOKafkaProducer]],
        broken: Callable[[AIOKafkaProducer | None], None],
    ) -> None:
        self.place = place
        self.ready = ready
        self.broken = broken
        self.waiting: deque[Batch] = deque()
        self.flying: dict[Batch, AIOKafkaProducer] = {}
        self.landed = asyncio.Event()
        self.producer: AIOKafkaProducer | None = None
        self.task: asyncio.Task[None] | None = None

    def add(self, record: Record, waiter: asyncio.Future[None], maker: AIOKafkaProducer) -> None:
        """Take a record; ``waiter`` ends when it is stored, with NotTakenError or with NoAckError.

        ``maker`` makes the batch where a new one is needed, whoever sends it.
        """
        if self.waiting and self.waiting[-1].add(record, waiter):
            return
        loop = asyncio.get_running_loop()
        batch = Batch(maker.create_batch(), loop.time() + ACCEPT_SECONDS)
        batch.add(record, waiter)
        self.waiting.append(batch)
        if self.task is None:
            self.task = loop.create_task(self._hand_over())

    def cut(self, producer: AIOKafkaProducer) -> None:
        """Wait no more for what a producer has that is gone."""
        for batch in [batch for batch, its in self.flying.items() if its is producer]:
            del self.flying[batch]
            batch.give_up()
        self.landed.set()

    async def close(self) -> None:
        """Hand over no more; what was not is refused."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait([self.task])
        self._refuse_rest()

    async def _hand_over(self) -> None:
        try:
            while self.waiting:
                await self._hand_over_one(self.waiting[0])
        finally:
            self.task = None
            self._refuse_rest()

    def _refuse_rest(self) -> None:
        while self.waiting:
            self.waiting.popleft().refuse(ProducerClosed())

    async def _hand_over_one(self, batch: Batch) -> None:
        """Records may join the batch until the producer has it.

        aiokafka asserts that there is the partition, which is gone where the topic was made anew and smaller.
        """
        try:
            async with asyncio.timeout_at(batch.accept_by):
                producer = await self._settled()
                answer = await producer.send_batch(
                    batch.builder, self.place.topic, partition=self.place.partition
                )
        except (TimeoutError, TopicAuthorizationFailedError, AssertionError) as error:
            batch.refuse(error)
        except (KafkaError, OSError) as error:
            batch.refuse(error)
            self.broken(self.producer)
        else:
            self.flying[batch] = producer
            batch.expiry = asyncio.get_running_loop().call_later(ACK_SECONDS, batch.give_up)
            answer.add_done_callback(partial(self._answered, batch))
        self.waiting.popleft()

    async def _settled(self) -> AIOKafkaProducer:
        """The producer to hand over to; the one before it has nothing of this partition any more."""
        while (producer := await self.ready()) is not self.producer:
            while self.flying:
                self.landed.clear()
                await self.landed.wait()
            self.producer = producer
        return producer

    def _answered(self, batch: Batch, answer: asyncio.Future[Any]) -> None:
        producer = self.flying.pop(batch, None)
        error = None if answer.cancelled() else answer.exception()
        if error is not None:
            batch.give_up(error)
            self.broken(producer)
        elif answer.cancelled():
            batch.give_up()
        else:
            batch.stored()
        self.landed.set()
