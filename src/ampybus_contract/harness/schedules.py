"""Play schedules of the simulation, search for one that fails, and make it small."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from ampybus_contract.bindings.protocol import Binding, Crashes, Resumes
from ampybus_contract.brokers.simulation import FaultKind, Schedule, drawn, simulated
from ampybus_contract.brokers.virtual_time import run_virtual
from ampybus_contract.contract import Contract
from ampybus_contract.errors import BindingCrashError
from ampybus_contract.harness.history import Event
from ampybus_contract.harness.scenarios.chaos import CRASHES, bearable, chaos
from ampybus_contract.harness.stage import Stage, claims

EFFORTS = {"quick": 10, "default": 50, "exhaustive": 5_000}
"""How many schedules are played in a run, by the word for it."""

SMALLER = 400
"""How many smaller schedules are tried at most."""


def borne_by(binding: Binding) -> frozenset[FaultKind]:
    """The faults that a binding must bear, by what it claims."""
    return bearable(claims(binding), isinstance(binding, Crashes), isinstance(binding, Resumes))


def played(
    contract: Contract, make: Callable[[], Binding], schedule: Schedule, seed: int = 0, patience: float = 5.0
) -> list[Event]:
    """The history of a schedule: the same schedule, binding and workload seed give the same one.

    The binding has a directory for its state where the schedule has a crash.
    """
    return run_virtual(play(contract, make, schedule, seed, patience))


async def play(
    contract: Contract, make: Callable[[], Binding], schedule: Schedule, seed: int, patience: float
) -> list[Event]:
    """As ``played``, on a loop in virtual time that is there already."""
    with ExitStack() as stack:
        state = None
        if any(fault.kind in CRASHES for fault in schedule.faults):
            state = Path(stack.enter_context(TemporaryDirectory(prefix="ampybus-state-")))
        async with simulated(schedule) as (endpoint, probe):
            stage = Stage(contract, make, probe, seed, patience)
            await stage.open(replace(endpoint, state=state))
            try:
                await chaos(stage)
            finally:
                await stage.close()
        if stage.flooded:
            raise BindingCrashError(stage.flooded)
        return stage.history


def schedules(seed: int, count: int, messages: int, kinds: Iterable[FaultKind]) -> Iterable[Schedule]:
    """So many schedules of one seed."""
    known = frozenset(kinds)
    source = random.Random(seed)
    for _ in range(count):
        yield drawn(source.getrandbits(32), messages, known)


def smallest(failing: Schedule, fails: Callable[[Schedule], bool], most: int = SMALLER) -> Schedule:
    """A schedule that still fails and of which no part can be left out, as far as ``most`` tries go."""
    tried = 0

    def still(candidate: Schedule) -> bool:
        nonlocal tried
        tried += 1
        return tried <= most and fails(candidate)

    best, changed = failing, True
    while changed and tried < most:
        changed = False
        for candidate in _smaller(best):
            if still(candidate):
                best, changed = candidate, True
                break
    return best


def _smaller(schedule: Schedule) -> Sequence[Schedule]:
    """Simpler schedules, the boldest first."""
    faults, least = schedule.faults, max((item.message for item in schedule.faults), default=0) + 1
    made = [replace(schedule, turns=())] if schedule.turns else []
    made += [replace(schedule, faults=(item,)) for item in faults if len(faults) > 1]
    made += [replace(schedule, faults=faults[:n] + faults[n + 1 :]) for n in range(len(faults))]
    counts = {least, schedule.messages // 2, schedule.messages - 1}
    made += [replace(schedule, messages=count) for count in sorted(counts) if 1 <= count < schedule.messages]
    for place, item in enumerate(faults):
        for other in (
            replace(item, message=item.message // 2),
            replace(item, message=item.message - 1),
            replace(item, seconds=item.seconds // 2),
        ):
            if other != item and other.message >= 0:
                made.append(replace(schedule, faults=(*faults[:place], other, *faults[place + 1 :])))
    return made
