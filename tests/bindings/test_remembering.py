"""What took effect is remembered in one step, and acknowledged only then; lanes do not wait for that."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ampybus_contract import Envelope
from ampybus_contract.bindings.consumer import ConsumerGroup
from ampybus_contract.bindings.effects import MemoryEffects
from ampybus_contract.bindings.memory import MemoryTransport
from ampybus_contract.bindings.protocol import Endpoint, Handler, Settlement, Subscription
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.room import Room
from ampybus_contract.bindings.transport import Incoming
from ampybus_contract.bindings.turns import Turns
from ampybus_contract.brokers.memory import MemoryBroker
from ampybus_contract.brokers.virtual_time import run_virtual
from ampybus_contract.contract import default_contract
from ampybus_contract.errors import CheckpointError, EffectError
from ampybus_contract.harness.workload import Workload

CONTRACT = default_contract()
WORKLOAD = Workload(CONTRACT, 7)
DOMAIN = WORKLOAD.keyed_domain()
PATTERN = f"{'.'.join(WORKLOAD.envelope(DOMAIN, 0).topic.split('.')[:4])}.>"
SECONDS = 10.0


class Watched(MemoryEffects):
    """Notes what is kept, and fails as often as it is told to."""

    def __init__(self, told: list[str], failures: int = 0) -> None:
        super().__init__(1000)
        self.told = told
        self.failures = failures

    def keep(self) -> None:
        if self.failures:
            self.failures -= 1
            raise EffectError("EFFECTS expected room, got none. Fix: make some")
        self.told.append(f"kept {len(self.step)}")
        super().keep()


class Bench:
    """A group without a broker: what it is given, what it tells, and when it acknowledges."""

    def __init__(self, handler: Handler, failures: int = 0) -> None:
        self.told: list[str] = []
        self.binding = ReferenceBinding(MemoryTransport(), CONTRACT)
        self.binding.effects = Watched(self.told, failures)
        self.group = ConsumerGroup(self.binding, "group", handler)
        self.queue: asyncio.Queue[Incoming] = asyncio.Queue()

    def put(self, *envelopes: Envelope) -> None:
        for envelope in envelopes:
            position = self.queue.qsize()
            self.queue.put_nowait(Incoming(position, envelope, partial(self.acknowledge, position)))

    async def acknowledge(self, position: int) -> None:
        self.told.append(f"acknowledged {position}")

    async def messages(self) -> AsyncIterator[Incoming]:
        while True:
            yield await self.queue.get()

    async def tells(self, count: int) -> None:
        while len(self.told) < count:
            await asyncio.sleep(0)


async def apply(_envelope: Envelope) -> Settlement:
    return Settlement.OK


def made(count: int, key: int | None = None) -> list[Envelope]:
    return [WORKLOAD.envelope(DOMAIN, number if key is None else key) for number in range(count)]


def play(scene: Coroutine[Any, Any, None]) -> None:
    async def main() -> None:
        async with asyncio.timeout(SECONDS):
            await scene

    asyncio.run(main())


@pytest.mark.parametrize("key", [None, 0])
def test_what_is_done_in_one_turn_is_kept_in_one_step_and_then_acknowledged(key: int | None) -> None:
    async def scene() -> None:
        bench = Bench(apply)
        bench.put(*made(3, key))
        await bench.group.start(bench.messages())
        await bench.tells(4)
        assert bench.told == ["kept 3", "acknowledged 0", "acknowledged 1", "acknowledged 2"]
        await bench.group.stop(1)

    play(scene())


def test_a_message_that_comes_twice_has_one_effect_and_both_are_acknowledged_after_it_is_kept() -> None:
    async def scene() -> None:
        bench = Bench(apply)
        (sent,) = made(1)
        bench.put(sent, sent)
        await bench.group.start(bench.messages())
        await bench.tells(3)
        assert bench.told == ["kept 1", "acknowledged 0", "acknowledged 1"]
        await bench.group.stop(1)

    play(scene())


def test_effects_that_cannot_be_kept_are_said_once_tried_again_and_not_acknowledged_before(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ampybus_contract.bindings.consumer.TROUBLE_PAUSE_SECONDS", 0.01)

    async def scene() -> None:
        bench = Bench(apply, failures=3)
        bench.put(*made(2))
        with caplog.at_level(logging.ERROR):
            await bench.group.start(bench.messages())
            await bench.tells(3)
        assert bench.told == ["kept 2", "acknowledged 0", "acknowledged 1"]
        assert caplog.messages == ["EFFECTS expected room, got none. Fix: make some"]
        await bench.group.stop(1)

    play(scene())


def test_a_checkpoint_that_cannot_be_written_is_written_later_and_those_after_it_in_turn(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ampybus_contract.bindings.consumer.TROUBLE_PAUSE_SECONDS", 0.01)

    class Full(Bench):
        refusals = 2

        async def acknowledge(self, position: int) -> None:
            if self.refusals:
                self.refusals -= 1
                raise CheckpointError("CHECKPOINT expected room, got none. Fix: make some")
            await super().acknowledge(position)

    async def scene() -> None:
        bench = Full(apply)
        bench.put(*made(3))
        with caplog.at_level(logging.ERROR):
            await bench.group.start(bench.messages())
            await bench.tells(4)
        assert bench.told == ["kept 3", "acknowledged 0", "acknowledged 1", "acknowledged 2"]
        assert caplog.messages == ["CHECKPOINT expected room, got none. Fix: make some"]
        await bench.group.stop(1)

    play(scene())


def test_a_stop_while_effects_cannot_be_kept_acknowledges_nothing_and_leaves_no_task() -> None:
    async def scene() -> None:
        others = asyncio.all_tasks()
        bench = Bench(apply, failures=1_000_000)
        bench.put(*made(2))
        await bench.group.start(bench.messages())
        while not bench.group.troubled:
            await asyncio.sleep(0)
        await bench.group.stop(1)
        assert bench.told == []
        assert asyncio.all_tasks() == others

    play(scene())


def test_a_store_that_cannot_be_read_is_asked_again_and_nothing_is_handed_over_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ampybus_contract.bindings.consumer.TROUBLE_PAUSE_SECONDS", 0.01)
    failures = 3
    took: list[int] = []

    class Unreadable(MemoryEffects):
        def seen(self, names: Sequence[str]) -> bool:
            nonlocal failures
            failures -= 1
            if failures >= 0:
                raise EffectError("EFFECTS expected to read, got nothing. Fix: look at the disk")
            return super().seen(names)

    async def handle(_envelope: Envelope) -> Settlement:
        took.append(failures)
        return Settlement.OK

    async def scene() -> None:
        bench = Bench(handle)
        bench.binding.effects = Unreadable(1000)
        bench.put(*made(1))
        await bench.group.start(bench.messages())
        await bench.tells(1)
        assert took == [-1]
        await bench.group.stop(1)

    play(scene())


def test_a_stop_keeps_and_acknowledges_what_took_effect() -> None:
    async def scene() -> None:
        taken = asyncio.Event()

        async def handle(_envelope: Envelope) -> Settlement:
            taken.set()
            return Settlement.OK

        bench = Bench(handle)
        bench.put(*made(1))
        await bench.group.start(bench.messages())
        await taken.wait()
        await bench.group.stop(1)
        assert bench.told == ["kept 1", "acknowledged 0"]

    play(scene())


def test_what_was_applied_and_not_kept_comes_again_after_a_crash(tmp_path: Path) -> None:
    """The process ends between the handler and the transaction; then once more between that and the ack."""
    took: list[str] = []

    async def handle(envelope: Envelope) -> Settlement:
        took.append(envelope.headers["message_id"])
        return Settlement.OK

    async def life(broker: MemoryBroker, end: Callable[[ReferenceBinding], None]) -> None:
        binding = ReferenceBinding(MemoryTransport(), CONTRACT)
        await binding.start(Endpoint("memory", "memory", broker, state=tmp_path))
        end(binding)
        crashed = asyncio.create_task(binding.crash())
        await binding.subscribe(Subscription(PATTERN, "group"), handle)
        await crashed

    def before_it_is_kept(binding: ReferenceBinding) -> None:
        class Lost(MemoryEffects):
            def keep(self) -> None:
                """The process is gone before this."""

        binding.effects = Lost(1000)

    def before_it_is_acknowledged(binding: ReferenceBinding) -> None:
        assert type(binding.effects) is not MemoryEffects

    async def scene() -> None:
        broker = MemoryBroker()
        (sent,) = made(1)
        broker.publish(sent)
        await life(broker, before_it_is_kept)
        await life(broker, before_it_is_acknowledged)
        assert took == [sent.headers["message_id"]] * 2
        binding = ReferenceBinding(MemoryTransport(), CONTRACT)
        await binding.start(Endpoint("memory", "memory", broker, state=tmp_path))
        await binding.subscribe(Subscription(PATTERN, "group"), handle)
        while await binding.lag("group"):
            await asyncio.sleep(1)
        assert len(took) == 2
        await binding.stop()

    run_virtual(scene())


def test_lanes_that_wait_hold_no_other_up_and_each_keeps_its_order() -> None:
    async def scene() -> None:
        go_on, begun = asyncio.Event(), []

        async def handle(envelope: Envelope) -> Settlement:
            begun.append(envelope)
            if len(begun) <= 2:
                await go_on.wait()
            return Settlement.OK

        bench = Bench(handle)
        firsts, seconds = made(5), made(5)
        bench.put(*firsts, *seconds)
        await bench.group.start(bench.messages())
        while len(begun) < 8:
            await asyncio.sleep(0)
        assert begun[:2] == firsts[:2]
        assert set(begun[2:]) == {*firsts[2:], *seconds[2:]}
        go_on.set()
        while len(begun) < 10:
            await asyncio.sleep(0)
        assert begun[8:] == seconds[:2]
        await bench.group.stop(1)

    play(scene())


def test_a_kill_begins_no_lane_any_more() -> None:
    async def scene() -> None:
        begun = []

        async def handle(envelope: Envelope) -> Settlement:
            begun.append(envelope)
            await asyncio.Event().wait()
            return Settlement.OK

        others = asyncio.all_tasks()
        bench = Bench(handle)
        bench.put(*made(5))
        await bench.group.start(bench.messages())
        while not begun:
            await asyncio.sleep(0)
        await bench.group.kill()
        count = len(begun)
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(begun) == count
        assert asyncio.all_tasks() == others

    play(scene())


def test_no_more_are_in_hand_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        bench = Bench(apply, failures=1)
        bench.group.room = Room(2)
        bench.put(*made(5))
        await bench.group.start(bench.messages())
        while not bench.group.troubled:
            await asyncio.sleep(0)
        assert len(bench.group.held) == 2
        assert bench.queue.qsize() == 3
        monkeypatch.setattr("ampybus_contract.bindings.consumer.TROUBLE_PAUSE_SECONDS", 0.01)
        while bench.told.count("acknowledged 4") < 1:
            await asyncio.sleep(0)
        assert bench.group.room.free == 2
        await bench.group.stop(1)

    play(scene())


def test_turns_come_in_the_order_of_the_calls_and_one_who_gives_up_is_passed_over() -> None:
    async def scene() -> None:
        turns, told = Turns(), []

        async def take(name: str) -> None:
            if not turns.take("one"):
                await turns.wait("one")
            told.append(name)

        await take("first")
        waiting = [asyncio.create_task(take(name)) for name in ("second", "gone", "third")]
        await asyncio.sleep(0)
        assert turns.take("other")
        waiting[1].cancel()
        for count in (1, 2, 3):
            assert len(told) == count
            turns.give("one")
            await asyncio.sleep(0)
        turns.give("other")
        assert told == ["first", "second", "third"]
        assert turns.taken == {}

    play(scene())


def test_one_who_gives_up_in_the_moment_of_its_turn_hands_it_on() -> None:
    async def scene() -> None:
        turns = Turns()
        assert turns.take("one")
        waiting = [asyncio.create_task(turns.wait("one")) for _ in range(2)]
        await asyncio.sleep(0)
        turns.give("one")
        waiting[0].cancel()
        await waiting[1]
        turns.give("one")
        assert turns.taken == {}

    play(scene())
