"""One schedule, one history; each fault happens; the reference binding bears all of them."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from ampybus_contract.bindings.memory import MemoryTransport
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.brokers.memory import MemorySource
from ampybus_contract.brokers.simulation import (
    Fault,
    FaultKind,
    Schedule,
    SimulatedBroker,
    Turns,
    read_schedule,
    simulated,
    write_schedule,
)
from ampybus_contract.brokers.simulation.schedule import schema
from ampybus_contract.brokers.virtual_time import run_virtual
from ampybus_contract.contract import default_contract
from ampybus_contract.errors import ScheduleError
from ampybus_contract.harness import checkers
from ampybus_contract.harness.history import Event, Operation, Outcome
from ampybus_contract.harness.playing import played
from ampybus_contract.harness.recording import Head, write_history
from ampybus_contract.harness.scenarios import chaos
from ampybus_contract.harness.schedules import Bounds, Budget, drawn, search
from ampybus_contract.harness.workload import Workload

CONTRACT = default_contract()
MESSAGES = 20
SEVERAL = (0, 1, 2, 3) * 5
EVERY = chaos.faults(ReferenceBinding(MemoryTransport(), CONTRACT), MemorySource.levers)
JUDGES = (
    checkers.nothing_shown,
    checkers.refused_valid,
    checkers.lost_write,
    checkers.unseen,
    checkers.duplicate_effect,
    checkers.key_reordered,
    checkers.effect_reordered,
    checkers.payload_changed,
    checkers.header_changed,
    checkers.definite_but_stored,
    checkers.id_invented,
    checkers.dlq_lost,
    checkers.poison_delivered,
)


def binding() -> ReferenceBinding:
    return ReferenceBinding(MemoryTransport(), CONTRACT)


def written(history: Sequence[Event]) -> str:
    stream = io.StringIO()
    write_history(stream, Head(CONTRACT.version, "", "memory", "simulation", {}, (), 0), history)
    return stream.getvalue()


def one(seed: int) -> Schedule:
    *_others, last = drawn(seed, 5, Bounds(EVERY, MESSAGES))
    return last


def order(history: Sequence[Event]) -> list[str]:
    return [item.id for item in history if item.operation is Operation.EFFECT]


@pytest.mark.parametrize("seed", range(3))
def test_the_same_seed_gives_the_same_history_byte_for_byte(seed: int) -> None:
    first, second = (written(played(CONTRACT, binding, one(seed))) for _ in range(2))
    assert first == second


def test_the_turns_decide_who_runs_next() -> None:
    turns = [(), (1, 0, 2), (3, 1, 4, 1, 5), (9, 2, 6), (5, 3, 5, 8)]
    histories = {tuple(order(played(CONTRACT, binding, Schedule(SEVERAL, each)))) for each in turns}
    assert len(histories) == 5
    assert len({frozenset(item) for item in histories}) == 1


def test_a_schedule_replays_from_its_file_without_the_seed(tmp_path: Path) -> None:
    schedule = one(7)
    write_schedule(tmp_path / "a" / "schedule.json", schedule)
    again = read_schedule(tmp_path / "a" / "schedule.json")
    assert again == schedule
    assert written(played(CONTRACT, binding, again)) == written(played(CONTRACT, binding, schedule))


def test_the_schema_knows_the_kinds_and_nothing_else() -> None:
    Draft202012Validator.check_schema(schema())
    assert set(schema()["properties"]["faults"]["items"]["properties"]["kind"]["enum"]) == set(FaultKind)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "expected JSON"),
        ('{"messages": [], "turns": [], "faults": []}', "$.messages"),
        (
            '{"messages": [0], "turns": [], "faults": [{"kind": "x", "message": 0, "seconds": 0}]}',
            "$.faults[0]",
        ),
        ('{"messages": [0], "turns": [], "faults": [], "seed": 1}', "seed"),
    ],
)
def test_what_is_no_schedule_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "schedule.json"
    path.write_text(text)
    with pytest.raises(ScheduleError) as caught:
        read_schedule(path)
    assert says in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScheduleError):
        read_schedule(tmp_path / "none.json")


def deliveries(history: Sequence[Event]) -> list[str]:
    return [item.id for item in history if item.operation is Operation.DELIVER]


def lasts(history: Sequence[Event]) -> float:
    return max(item.at for item in history) / 1e9


def repeated(history: Sequence[Event]) -> bool:
    return len(deliveries(history)) > len(set(deliveries(history)))


def answered_late(history: Sequence[Event]) -> bool:
    begun: dict[str, int] = {}
    for item in history:
        if item.operation is Operation.PUBLISH:
            if item.outcome is not Outcome.INVOKE and item.at - begun[item.id] >= 2_000_000_000:
                return True
            begun[item.id] = item.at
    return False


def other_order(history: Sequence[Event]) -> bool:
    plain = played(CONTRACT, binding, Schedule(SEVERAL))
    return order(history) != order(plain) and set(order(history)) == set(order(plain))


def buried(history: Sequence[Event]) -> bool:
    return any(
        item.operation is Operation.STORE and checkers.is_dead_letter(item.topic, CONTRACT)
        for item in history
    )


@pytest.mark.parametrize(
    ("kind", "shows"),
    [
        (FaultKind.DROP, answered_late),
        (FaultKind.LOST_ACK, answered_late),
        (FaultKind.TRUNCATED_TAIL, answered_late),
        (FaultKind.PARTITION, lambda history: lasts(history) >= 9),
        (FaultKind.DELAY, other_order),
        (FaultKind.REORDER, other_order),
        (FaultKind.CORRUPT, buried),
        (FaultKind.CRASH_BEFORE_EFFECT, repeated),
    ],
)
def test_a_fault_happens(kind: FaultKind, shows: Callable[[Sequence[Event]], bool]) -> None:
    plain = played(CONTRACT, binding, Schedule(SEVERAL))
    faulty = played(CONTRACT, binding, Schedule(SEVERAL, (), (Fault(kind, 5, 9),)))
    assert not shows(plain)
    assert shows(faulty)


class Forgetful(ReferenceBinding):
    """Remembers no effect."""

    def identities(self, envelope: object) -> list[str]:
        return []


@pytest.mark.parametrize("kind", [FaultKind.DUPLICATE, FaultKind.CRASH_AFTER_EFFECT])
def test_a_repeated_message_is_handed_out_again(kind: FaultKind) -> None:
    schedule = Schedule(SEVERAL, (), (Fault(kind, 5),))
    forgetful = played(CONTRACT, lambda: Forgetful(MemoryTransport(), CONTRACT), schedule)
    assert repeated(forgetful)
    assert checkers.duplicate_effect(forgetful, CONTRACT)
    assert not checkers.duplicate_effect(played(CONTRACT, binding, schedule), CONTRACT)


def test_the_reference_binding_bears_every_fault() -> None:
    assert set(FaultKind) - EVERY == {FaultKind.PAUSE, FaultKind.RESTART}
    seen: set[FaultKind] = set()
    for schedule in drawn(3, 40, Bounds(EVERY, 40, 4)):
        seen |= {fault.kind for fault in schedule.faults}
        history = played(CONTRACT, binding, schedule)
        found = [anomaly.sentence for judge in JUDGES for anomaly in judge(history, CONTRACT)]
        assert not found, (schedule.faults, found)
        assert len(set(order(history))) == len(schedule.messages)
    assert seen == EVERY


def test_a_failing_schedule_becomes_small() -> None:
    def fails(schedule: Schedule) -> bool:
        history = played(CONTRACT, lambda: Forgetful(MemoryTransport(), CONTRACT), schedule)
        return bool(checkers.duplicate_effect(history, CONTRACT))

    small = search(1, 50, Bounds(frozenset({FaultKind.DUPLICATE})), fails, Budget())
    assert small == Schedule((0,), (), (Fault(FaultKind.DUPLICATE, 0, 0),))


def test_what_is_drawn_differs_and_is_within_bounds() -> None:
    bounds = Bounds(frozenset({FaultKind.DROP, FaultKind.DELAY}), 12, 3, (0.5, 1.0), 0)
    found = list(drawn(1, 50, bounds))
    assert len(found) == len(set(found)) > 40
    assert max(len(item.messages) for item in found) == 12
    assert max(len(item.faults) for item in found) == 3
    assert {fault.kind for item in found for fault in item.faults} == {FaultKind.DROP, FaultKind.DELAY}
    assert {fault.seconds for item in found for fault in item.faults} == {0.5, 1.0}
    assert not any(item.turns for item in found)
    assert found == list(drawn(1, 50, bounds))


def test_no_schedule_is_played_beyond_the_budget() -> None:
    asked: list[Schedule] = []

    def fails(schedule: Schedule) -> bool:
        asked.append(schedule)
        return len(schedule.messages) > 3

    found = search(1, 50, Bounds(frozenset()), fails, Budget(plays=5))
    first = next(place for place, item in enumerate(asked) if len(item.messages) > 3)
    assert found is not None
    assert len(asked) - first - 1 == 5
    assert len(set(asked)) == len(asked)
    assert len(found.messages) > 3


def test_time_stands_still_while_anybody_could_go_on() -> None:
    async def scene() -> list[float]:
        loop = asyncio.get_running_loop()
        times: list[float] = []
        async with simulated(Schedule((0,))) as (endpoint, _probe):
            broker = endpoint.native
            assert isinstance(broker, SimulatedBroker)
            envelope = Workload(CONTRACT, 1).envelope(Workload(CONTRACT, 1).keyed_domain())

            async def actor() -> None:
                for _ in range(3):
                    await broker.store(envelope)
                    times.append(loop.time())

            sleeper = asyncio.create_task(asyncio.sleep(1))
            await asyncio.gather(actor(), actor())
            await sleeper
            times.append(loop.time())
        return times

    assert run_virtual(scene()) == [0.0] * 6 + [1.0]


def test_after_the_end_nobody_waits_for_a_turn() -> None:
    async def scene() -> None:
        turns = Turns()
        waiting = asyncio.create_task(turns.turn())
        await asyncio.sleep(0)
        turns.close()
        async with asyncio.timeout(1):
            await waiting
            await turns.turn()

    run_virtual(scene())
