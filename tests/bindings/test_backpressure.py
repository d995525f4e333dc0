"""Backpressure: hand-written histories for its checkers, and the throttle where no check looks."""

from __future__ import annotations

import asyncio

import pytest

from ampybus_contract import Envelope
from ampybus_contract.bindings.backpressure import HOLD_SECONDS, Throttle
from ampybus_contract.brokers.virtual_time import run_virtual
from ampybus_contract.contract import default_contract
from ampybus_contract.errors import PublishError
from ampybus_contract.harness import checkers
from ampybus_contract.harness.history import Event, Operation, Outcome
from ampybus_contract.harness.workload import Workload

CONTRACT = default_contract()
MADE = Workload(CONTRACT, 1)
RANK = {name: CONTRACT.domains[name].priority for name in MADE.domains}
LOWEST, HIGHEST = min(RANK, key=RANK.__getitem__), max(RANK, key=RANK.__getitem__)
LOW, LOWER, HIGH = MADE.envelope(LOWEST), MADE.envelope(LOWEST), MADE.envelope(HIGHEST)
BOUND = CONTRACT.backpressure.in_flight
MANY = [MADE.envelope(HIGHEST) for _ in range(BOUND + 1)]
LEVELS = len({rule.priority for rule in CONTRACT.domains.values() if rule.priority <= RANK[LOWEST]})
SUBSCRIBED = Event(0, "consumer", Operation.SUBSCRIBE, Outcome.OK, LOW, pattern=f"{CONTRACT.topic.prefix}.>")
SLOW = Event(0, "operator", Operation.SLOW, Outcome.OK, LOW, count=1)
FREE = Event(0, "operator", Operation.SLOW, Outcome.OK, LOW, count=0)


def asked(envelope: Envelope) -> Event:
    return Event(0, "producer", Operation.PUBLISH, Outcome.INVOKE, envelope)


def stored(envelope: Envelope) -> Event:
    return Event(0, "producer", Operation.PUBLISH, Outcome.OK, envelope)


def got(envelope: Envelope) -> Event:
    return Event(0, "consumer", Operation.DELIVER, Outcome.OK, envelope)


def applied(envelope: Envelope) -> Event:
    return Event(0, "consumer", Operation.EFFECT, Outcome.OK, envelope)


def lag(count: int) -> Event:
    return Event(0, "consumer", Operation.LAG, Outcome.OK, LOW, count=count)


def held(count: int) -> Event:
    return Event(0, "broker", Operation.HELD, Outcome.OK, LOW, count=count)


GOOD = [
    SUBSCRIBED,
    SLOW,
    asked(LOW),
    asked(HIGH),
    stored(HIGH),
    FREE,
    stored(LOW),
    lag(2),
    *(event for item in MANY for event in (got(item), applied(item))),
    got(LOW),
    applied(LOW),
    lag(1),
    held(BOUND),
]
BAD: list[tuple[checkers.Checker, list[Event], int]] = [
    (checkers.in_flight_exceeded, [got(item) for item in MANY], 2),
    (checkers.in_flight_exceeded, [held(BOUND + 1)], 1),
    (checkers.lag_wrong, [SUBSCRIBED], 1),
    (checkers.lag_wrong, [SUBSCRIBED, stored(LOW), lag(0)], 1),
    (checkers.lag_wrong, [SUBSCRIBED, stored(LOW), got(LOW), applied(LOW), lag(1)], 1),
    (checkers.priority_inverted, [SLOW, asked(HIGH), asked(LOW), stored(LOW), stored(HIGH)], 2),
    (checkers.nothing_slowed, [SLOW, asked(LOW), stored(LOW), asked(HIGH), stored(HIGH)], 1),
    (checkers.nothing_slowed, [SLOW, asked(LOW), asked(LOWER), stored(LOWER), stored(LOW)], 1),
    (checkers.nothing_slowed, [asked(LOW), asked(HIGH), stored(HIGH), stored(LOW)], 1),
]
CHECKERS = {checker.__name__: checker for checker, _history, _size in BAD}


@pytest.mark.parametrize("checker", CHECKERS.values(), ids=CHECKERS)
def test_a_good_history_has_no_anomaly(checker: checkers.Checker) -> None:
    assert checker(GOOD, CONTRACT) == []


@pytest.mark.parametrize(
    ("checker", "history", "size"), BAD, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_bad_history_gives_one_anomaly_and_the_events_that_show_it(
    checker: checkers.Checker, history: list[Event], size: int
) -> None:
    (anomaly,) = checker(history, CONTRACT)
    assert len(anomaly.events) == size
    assert anomaly.sentence


def test_the_highest_priority_is_never_held_back() -> None:
    async def main() -> None:
        throttle = Throttle(CONTRACT)
        throttle.slow(len(throttle.levels) + 1)
        await throttle.admit(HIGHEST)

    run_virtual(main())


@pytest.mark.parametrize("end", ["time", "close"])
def test_what_is_held_back_too_long_fails_definitely(end: str) -> None:
    async def main() -> float:
        throttle = Throttle(CONTRACT)
        throttle.slow(LEVELS)
        waiting = asyncio.create_task(throttle.admit(LOWEST))
        await asyncio.sleep(1)
        assert not waiting.done()
        if end == "close":
            throttle.close()
        with pytest.raises(PublishError, match=LOWEST) as caught:
            await waiting
        assert caught.value.definite
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == (1 if end == "close" else HOLD_SECONDS)


def test_what_was_held_back_goes_on_when_told() -> None:
    async def main() -> None:
        throttle = Throttle(CONTRACT)
        throttle.slow(LEVELS)
        waiting = asyncio.create_task(throttle.admit(LOWEST))
        await asyncio.sleep(1)
        throttle.slow(0)
        await waiting

    run_virtual(main())
