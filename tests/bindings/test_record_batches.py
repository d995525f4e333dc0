"""Records of a Kafka partition go out in order, many together, and each is told what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, TopicAuthorizationFailedError
from aiokafka.producer.message_accumulator import BatchBuilder

from ampybus_contract.bindings import kafka_batches
from ampybus_contract.bindings.kafka_batches import Lane, NoAckError, NotTakenError, Record

SECONDS = 10.0
BATCH_BYTES = 260
PLACE = TopicPartition("topic", 0)


class Producer:
    """Takes batches when it is let, and answers them when it is told to."""

    def __init__(self) -> None:
        self.taken: list[tuple[BatchBuilder, asyncio.Future[Any]]] = []
        self.room = asyncio.Event()
        self.room.set()
        self.failure: Exception | None = None

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(BATCH_BYTES, 0)

    async def send_batch(self, batch: BatchBuilder, topic: str, *, partition: int) -> asyncio.Future[Any]:
        assert (topic, partition) == PLACE
        await self.room.wait()
        if self.failure is not None:
            raise self.failure
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.taken.append((batch, answer))
        return answer

    @property
    def counts(self) -> list[int]:
        return [batch.record_count() for batch, _ in self.taken]


class Place:
    """A lane, the producer that it has now, and those that it said are broken."""

    def __init__(self) -> None:
        self.producer = Producer()
        self.broken: list[object] = []
        self.lane = Lane(PLACE, self.ready, self.broken.append)

    async def ready(self) -> Any:
        return self.producer

    def add(self, payload: bytes = b"payload") -> asyncio.Future[None]:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        maker: Any = self.producer
        self.lane.add(Record(b"key", payload, [("name", b"value")]), waiter, maker)
        return waiter

    async def takes(self, count: int) -> None:
        """Wait until the producer has so many batches."""
        while len(self.producer.taken) < count:
            await asyncio.sleep(0)


def play(scene: Coroutine[Any, Any, None]) -> None:
    async def main() -> None:
        async with asyncio.timeout(SECONDS):
            await scene

    asyncio.run(main())


def test_records_of_one_turn_go_together_and_are_told_when_the_batch_is_stored() -> None:
    async def scene() -> None:
        place = Place()
        waiters = [place.add() for _ in range(3)]
        await place.takes(1)
        assert place.producer.counts == [3]
        assert not any(waiter.done() for waiter in waiters)
        place.producer.taken[0][1].set_result(None)
        await asyncio.gather(*waiters)
        assert place.broken == []

    play(scene())


def test_what_does_not_fit_goes_with_the_next_batch_and_the_order_stays() -> None:
    async def scene() -> None:
        place = Place()
        payloads = [bytes([number]) * 60 for number in range(5)]
        waiters = [place.add(payload) for payload in payloads]
        await place.takes(3)
        assert place.producer.counts == [2, 2, 1]
        found = b"".join(bytes(batch._build()) for batch, _ in place.producer.taken)
        places = [found.index(payload) for payload in payloads]
        assert places == sorted(places)
        for _, answer in place.producer.taken:
            answer.set_result(None)
        await asyncio.gather(*waiters)

    play(scene())


def test_records_join_a_batch_that_waits_for_its_turn() -> None:
    async def scene() -> None:
        place = Place()
        place.producer.room.clear()
        first = place.add()
        await asyncio.sleep(0)
        second = place.add()
        place.producer.room.set()
        await place.takes(1)
        assert place.producer.counts == [2]
        place.producer.taken[0][1].set_result(None)
        await asyncio.gather(first, second)

    play(scene())


@pytest.mark.parametrize(
    ("failure", "broken"), [(KafkaError("fatal"), True), (TopicAuthorizationFailedError("topic"), False)]
)
def test_what_the_producer_does_not_take_was_surely_not_sent(failure: Exception, broken: bool) -> None:
    async def scene() -> None:
        place = Place()
        place.producer.failure = failure
        waiters = [place.add(), place.add()]
        for waiter in waiters:
            with pytest.raises(NotTakenError) as caught:
                await waiter
            assert caught.value.reason is failure
        assert bool(place.broken) == broken

    play(scene())


def test_what_waits_for_its_turn_for_too_long_was_surely_not_sent_and_the_next_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kafka_batches, "ACCEPT_SECONDS", 0.05)

    async def scene() -> None:
        place = Place()
        place.producer.room.clear()
        with pytest.raises(NotTakenError, match="TimeoutError"):
            await place.add()
        place.producer.room.set()
        after = place.add()
        await place.takes(1)
        assert place.producer.counts == [1]
        place.producer.taken[0][1].set_result(None)
        await after
        assert place.broken == []

    play(scene())


def test_a_batch_without_an_answer_leaves_all_its_outcomes_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_batches, "ACK_SECONDS", 0.05)

    async def scene() -> None:
        place = Place()
        waiters = [place.add(), place.add()]
        for waiter in waiters:
            with pytest.raises(NoAckError) as caught:
                await waiter
            assert caught.value.reason is None
        place.producer.taken[0][1].set_result(None)
        after = place.add()
        await place.takes(2)
        place.producer.taken[1][1].set_result(None)
        await after

    play(scene())


def test_a_batch_that_the_broker_refuses_tells_each_record_why_and_its_producer_is_broken() -> None:
    async def scene() -> None:
        place = Place()
        waiters = [place.add(), place.add()]
        await place.takes(1)
        failure = MessageSizeTooLargeError()
        place.producer.taken[0][1].set_exception(failure)
        for waiter in waiters:
            with pytest.raises(NoAckError) as caught:
                await waiter
            assert caught.value.reason is failure
        assert place.broken == [place.producer]

    play(scene())


def test_one_who_waits_no_more_changes_nothing_for_the_others() -> None:
    async def scene() -> None:
        place = Place()
        gone, other = place.add(), place.add()
        gone.cancel()
        await place.takes(1)
        place.producer.taken[0][1].set_result(None)
        await other
        assert gone.cancelled()

    play(scene())


def test_another_producer_gets_nothing_before_the_one_before_is_settled() -> None:
    async def scene() -> None:
        place = Place()
        before, first = place.producer, place.add()
        await place.takes(1)
        place.producer = Producer()
        second = place.add()
        for _ in range(10):
            await asyncio.sleep(0)
        assert place.producer.taken == []
        before.taken[0][1].set_result(None)
        await first
        await place.takes(1)
        place.producer.taken[0][1].set_result(None)
        await second

    play(scene())


def test_what_a_producer_that_is_gone_still_had_is_open_and_holds_nothing_back() -> None:
    async def scene() -> None:
        place = Place()
        before: Any = place.producer
        first = place.add()
        await place.takes(1)
        place.producer = Producer()
        second = place.add()
        await asyncio.sleep(0)
        place.lane.cut(before)
        with pytest.raises(NoAckError):
            await first
        await place.takes(1)
        place.producer.taken[0][1].set_result(None)
        await second

    play(scene())


@pytest.mark.parametrize("begun", [True, False])
def test_a_closed_lane_refuses_what_it_did_not_hand_over(begun: bool) -> None:
    async def scene() -> None:
        place = Place()
        place.producer.room.clear()
        waiters = [place.add(b"x" * 150), place.add(b"x" * 150)]
        if begun:
            await asyncio.sleep(0)
        await place.lane.close()
        for waiter in waiters:
            with pytest.raises(NotTakenError, match="ProducerClosed"):
                await waiter

    play(scene())
