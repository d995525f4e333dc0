"""Draw schedules of messages and faults, search for one that fails, and make it small: by Hypothesis."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from ampybus_contract.bindings.protocol import Binding
from ampybus_contract.brokers.simulation import Fault, FaultKind, Schedule
from ampybus_contract.harness.breadth import Breadth
from ampybus_contract.harness.stage import Stage

MESSAGES = 30
KEYS = 8
TURNS = 64
LONGEST_SECONDS = 20
MESSAGES_PER_FAULT = 10


Scenario = Callable[[Stage], Awaitable[None]]
"""What is done to a binding."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How many schedules are played, in the simulation and on a real broker, and how much of other lists."""

    simulated: int
    real: int
    breadth: Breadth = Breadth.EACH


EFFORTS = {
    "quick": Effort(10, 3, Breadth.FEW),
    "default": Effort(50, 8, Breadth.EACH),
    "exhaustive": Effort(5_000, 48, Breadth.EVERY),
}
"""By the word for it."""


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A scenario that plays schedules, and the faults that a binding must bear on a broker, by its levers."""

    play: Callable[[Stage, Schedule], Awaitable[None]]
    faults: Callable[[Binding, Collection[str]], frozenset[FaultKind]]

    def by(self, schedule: Schedule) -> Scenario:
        """The scenario of one schedule."""
        return lambda stage: self.play(stage, schedule)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is drawn: at most so many messages, and faults, of some kinds, that last one of some seconds.

    ``turns`` is how many decisions of the simulation are drawn at most.
    """

    kinds: frozenset[FaultKind]
    messages: int = MESSAGES
    faults: int = MESSAGES // MESSAGES_PER_FAULT
    seconds: tuple[float, ...] = tuple(range(LONGEST_SECONDS + 1))
    turns: int = TURNS


@dataclass(slots=True)
class Budget:
    """How much may be spent on making a schedule small: so many plays, so many seconds."""

    plays: int = 400
    seconds: float = 120.0


class _FailsError(Exception):
    """A schedule fails."""


@st.composite
def _schedules(draw: DrawFn, bounds: Bounds) -> Schedule:
    """Most are long and have some faults; the smallest is one message and none."""
    most = bounds.messages
    least = draw(st.sampled_from(sorted({1, max(most // 2, 1), most})))
    messages = draw(st.binary(min_size=least, max_size=most))
    turns = draw(st.binary(max_size=bounds.turns)) if bounds.turns else b""
    limit = max(bounds.faults, 1) if bounds.kinds else 0
    count = draw(st.sampled_from([0, (limit + 1) // 2, limit, limit]))
    fault = st.builds(
        Fault,
        st.sampled_from([kind for kind in FaultKind if kind in bounds.kinds]),
        st.integers(0, len(messages) - 1),
        st.sampled_from(bounds.seconds),
    )
    faults = draw(st.lists(fault, min_size=count, max_size=limit)) if limit else []
    return Schedule(tuple(number % KEYS for number in messages), tuple(turns), tuple(faults))


def schedules(bounds: Bounds) -> SearchStrategy[Schedule]:
    """Schedules within bounds."""
    return _schedules(bounds)


def drawn(seed_number: int, count: int, bounds: Bounds) -> Iterator[Schedule]:
    """The schedules that ``search`` would try, at most so many."""
    found: list[Schedule] = []

    def note(schedule: Schedule) -> bool:
        found.append(schedule)
        return False

    search(seed_number, count, bounds, note, Budget(plays=0))
    yield from found


def search(
    seed_number: int, count: int, bounds: Bounds, fails: Callable[[Schedule], bool], budget: Budget
) -> Schedule | None:
    """The first of ``count`` schedules that fails, made as small as the budget lets it, or None.

    None of them is asked for twice. The same seed draws the same schedules.
    """
    known: dict[Schedule, bool] = {}
    least: Schedule | None = None
    deadline = 0.0

    @seed(seed_number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
        print_blob=False,
    )
    @given(schedules(bounds))
    def each(schedule: Schedule) -> None:
        nonlocal least, deadline
        if schedule not in known:
            if least is not None:
                budget.plays -= 1
                if budget.plays < 0 or time.monotonic() > deadline:
                    return
            known[schedule] = fails(schedule)
        if known[schedule]:
            if least is None:
                deadline = time.monotonic() + budget.seconds
            least = schedule
            raise _FailsError

    try:
        each()
    except _FailsError:
        return least
    return None
