"""Hypothesis drives the simulation as a state machine; whatever happens, its promises hold.

No acknowledged message is lost, each key keeps its order, positions are dense and increase, and what was
kept once stays. A simulation that breaks one of these is found.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Coroutine, Iterator
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from ampybus_contract.brokers.simulation import Fault, FaultKind, Schedule, SimulatedBroker
from ampybus_contract.brokers.simulation.broker import SimulatedConsumer
from ampybus_contract.brokers.virtual_time import VirtualTimeLoop
from ampybus_contract.envelope import Envelope, Headers

T = TypeVar("T")
KEYS = ("a", "b", "c")
PATTERN = "ampy.dev.bars.v1.>"
GROUP = "group"
SOON = 0.001
PLACED = sorted(
    set(FaultKind) - {FaultKind.CRASH_BEFORE_EFFECT, FaultKind.CRASH_AFTER_EFFECT, FaultKind.CORRUPT}
)
EFFORT = settings(max_examples=400, stateful_step_count=30, deadline=None, derandomize=True, database=None)
FIRST_ONLY = settings(EFFORT, report_multiple_bugs=False, phases=[Phase.generate])


class Simulation(RuleBasedStateMachine):
    """One producer a key, who goes on only when the last was answered, and one group.

    ``sent`` has the messages of each key, ``first`` those that the group saw, each when it came first.
    """

    broker_class: ClassVar[type[SimulatedBroker]] = SimulatedBroker

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
        self.sent: dict[str, list[Envelope]] = {key: [] for key in KEYS}
        self.answered: dict[str, bool] = dict.fromkeys(KEYS, True)
        self.first: dict[str, list[str]] = {key: [] for key in KEYS}
        self.kept: dict[int, str] = {}
        self.readers = 0
        self.broker = self.do(self.opened())

    async def opened(self) -> SimulatedBroker:
        broker = self.broker_class(Schedule((0,)))
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        loop.rule(broker.turns.next)
        broker.consumer(GROUP, PATTERN)
        return broker

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @initialize(choices=st.lists(st.integers(0, 5), max_size=8))
    def choose_turns(self, choices: list[int]) -> None:
        self.broker.turns.choices = tuple(choices) or (0,)

    @rule(keys=st.lists(st.sampled_from(KEYS), min_size=1, unique=True))
    def publish(self, keys: list[str]) -> None:
        async def all_at_once() -> None:
            await asyncio.gather(*(self.published(key) for key in keys))

        self.do(all_at_once())

    async def published(self, key: str) -> None:
        if self.answered[key]:
            name = f"{key}{len(self.sent[key])}"
            headers = Headers({"message_id": name, "partition_key": key})
            self.sent[key].append(Envelope(f"ampy.dev.bars.v1.XNAS.{key}", headers, b""))
        last = self.sent[key][-1]
        self.answered[key] = await self.broker.store(last, last.headers["message_id"])

    @rule(kind=st.sampled_from(PLACED), seconds=st.integers(1, 20))
    def go_wrong_next(self, kind: FaultKind, seconds: int) -> None:
        number = len(self.broker.numbers)
        self.broker.faults.setdefault(number, []).append(Fault(kind, number, seconds))

    @rule(acknowledged=st.booleans())
    def deliver(self, acknowledged: bool) -> None:
        self.do(self.taken(acknowledged))

    async def taken(self, acknowledged: bool) -> bool:
        consumer = self.broker.consumer(GROUP, PATTERN)
        try:
            position, envelope = await asyncio.wait_for(consumer.take(), SOON)
        except TimeoutError:
            return False
        key, name = envelope.headers["partition_key"], envelope.headers["message_id"]
        assert envelope in self.sent[key]
        if name not in self.first[key]:
            self.first[key].append(name)
        if acknowledged:
            consumer.ack(position)
        return True

    @rule()
    def crash(self) -> None:
        async def left() -> None:
            self.broker.leave()

        self.do(left())

    @rule()
    def heal(self) -> None:
        async def healed() -> None:
            self.broker.heal()

        self.do(healed())

    @rule(seconds=st.sampled_from([0.2, 1, 6, 25, 130]))
    def let_time_pass(self, seconds: float) -> None:
        self.do(asyncio.sleep(seconds))

    @rule()
    def read_from_the_start(self) -> None:
        self.readers += 1

        async def read() -> list[int]:
            self.broker.heal()
            consumer = self.broker.consumer(f"reader-{self.readers}", PATTERN)
            positions = []
            while consumer.waiting:
                position, _ = await consumer.take()
                consumer.ack(position)
                positions.append(position)
            return positions

        there = [place for place in range(len(self.broker.stored)) if place not in self.broker.lost]
        assert self.do(read()) == there

    @invariant()
    def nothing_acknowledged_is_lost(self) -> None:
        stored = {item.headers["message_id"] for item in self.present().values()}
        for key, messages in self.sent.items():
            due = messages if self.answered[key] else messages[:-1]
            assert {item.headers["message_id"] for item in due} <= stored

    @invariant()
    def each_key_keeps_its_order(self) -> None:
        for key, names in self.first.items():
            assert names == [item.headers["message_id"] for item in self.sent[key][: len(names)]]

    @invariant()
    def positions_are_dense_and_times_do_not_go_back(self) -> None:
        assert len(self.broker.times) == len(self.broker.stored)
        assert self.broker.times == sorted(self.broker.times)

    @invariant()
    def what_was_kept_stays_where_it_is(self) -> None:
        now = {place: item.headers["message_id"] for place, item in self.present().items()}
        gone = {place: name for place, name in self.kept.items() if now.get(place) != name}
        assert set(gone) <= self.broker.lost
        self.kept = now

    def present(self) -> dict[int, Envelope]:
        """What the broker holds, by position."""
        return {place: item for place, item in enumerate(self.broker.stored) if place not in self.broker.lost}

    def teardown(self) -> None:
        """All heals, all is handed out, and every acknowledged message was seen."""
        try:
            self.do(self.drained())
        finally:
            self.do(self.closed())
            self.runner.close()

    async def drained(self) -> None:
        self.broker.end()
        for key in KEYS:
            while not self.answered[key]:
                await self.published(key)
        await asyncio.sleep(30)
        while await self.taken(True):
            pass
        self.each_key_keeps_its_order()
        assert {key: len(names) for key, names in self.first.items()} == {
            key: len(messages) for key, messages in self.sent.items()
        }

    async def closed(self) -> None:
        self.broker.turns.close()
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        loop.rule(None)


TestSimulation = Simulation.TestCase
TestSimulation.settings = EFFORT


class AcknowledgesDropped(SimulatedBroker):
    """Says that it stored what a cut link kept away."""

    async def store(self, envelope: Envelope, identity: str = "") -> bool:
        await SimulatedBroker.store(self, envelope, identity)
        return True


class Forgetful(SimulatedBroker):
    """A crash of a consumer costs the oldest message."""

    def leave(self) -> None:
        SimulatedBroker.leave(self)
        if self.stored:
            del self.stored[0], self.times[0]


class Expiring(SimulatedBroker):
    """Keeps what is stored for less than a second."""

    async def store(self, envelope: Envelope, identity: str = "") -> bool:
        old = [place for place, at in enumerate(self.times) if at < self.now() - 900_000_000]
        for place in old:
            self.stored[place] = Envelope("", Headers({"message_id": ""}), b"")
        return await SimulatedBroker.store(self, envelope, identity)


class Moves(SimulatedBroker):
    """When the link heals, the first two messages change places."""

    def heal(self) -> None:
        SimulatedBroker.heal(self)
        self.stored[:2] = self.stored[1::-1]


class HandsBackLast(SimulatedBroker):
    """Gives what a dead consumer had in hand to the next one in the wrong order."""

    def leave(self) -> None:
        SimulatedBroker.leave(self)
        for consumer in self.linked():
            consumer.waiting.reverse()


class Overtaking(SimulatedConsumer):
    """Hands out the newest of what was held back first."""

    def release(self, key: str) -> None:
        if key in self.holding:
            self.holding[key].reverse()
        SimulatedConsumer.release(self, key)


class Reorders(SimulatedBroker):
    """Its groups are ``Overtaking``."""

    def new_consumer(self, pattern: str) -> SimulatedConsumer:
        return Overtaking(pattern, ack_wait=5, turns=self.turns, link=self.link)


class SkipsPositions(SimulatedBroker):
    """Leaves a place empty for every third message."""

    def publish(self, envelope: Envelope, identity: str = "") -> None:
        if len(self.stored) % 3 == 2:
            self.times.append(self.now())
            self.stored.append(Envelope("", envelope.headers, b""))
        SimulatedBroker.publish(self, envelope, identity)


@pytest.mark.parametrize(
    ("broken", "promise"),
    [
        (AcknowledgesDropped, "nothing_acknowledged_is_lost"),
        (Forgetful, "nothing_acknowledged_is_lost"),
        (Expiring, "nothing_acknowledged_is_lost"),
        (Moves, "what_was_kept_stays_where_it_is"),
        (HandsBackLast, "each_key_keeps_its_order"),
        (Reorders, "each_key_keeps_its_order"),
        (SkipsPositions, "read_from_the_start"),
    ],
)
def test_a_simulation_that_breaks_a_promise_is_found(broken: type[SimulatedBroker], promise: str) -> None:
    class Broken(Simulation):
        broker_class = broken

    with pytest.raises(AssertionError) as caught:
        run_state_machine_as_test(Broken, settings=FIRST_ONLY)
    assert promise in set(places(caught.value))


def places(error: BaseException | None) -> Iterator[str]:
    """The functions that an error came through, and those before it: the end of a run fails as well."""
    while error is not None:
        yield from (frame.name for frame in traceback.extract_tb(error.__traceback__))
        error = error.__context__
