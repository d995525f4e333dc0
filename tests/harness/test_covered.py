"""What was broken in a history can be counted, and the scenarios break all that can be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import pytest

from ampybus_contract.bindings.memory import MemoryTransport
from ampybus_contract.bindings.protocol import Endpoint
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.brokers.memory import MemoryBroker, MemoryProbe, MemorySource
from ampybus_contract.contract import default_contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.harness import scenarios
from ampybus_contract.harness.breadth import Breadth
from ampybus_contract.harness.covered import Covered, covered, domain_of
from ampybus_contract.harness.history import Event, Operation, Outcome
from ampybus_contract.harness.judge import Judge
from ampybus_contract.harness.playing import furnished, play
from ampybus_contract.harness.schedules import EFFORTS, Scenario
from ampybus_contract.harness.suites import suites
from ampybus_contract.harness.verdicts import Verdict
from ampybus_contract.strategies import breaks, broken
from ampybus_contract.validation import validate

CONTRACT = default_contract()
SPOTS = breaks()
ENVIRONMENTS = set(CONTRACT.topic.environments)
EVERY = {
    (spot.requirement, spot.domain)
    for spot in SPOTS
    if CONTRACT.requirements[spot.requirement].level == "MUST"
}


def event(operation: Operation, outcome: Outcome, envelope: Envelope, error: str = "") -> Event:
    return Event(0, "somebody", operation, outcome, envelope, error=error)


def played(scenario: Scenario, breadth: Breadth, seed: int = 1) -> list[Event]:
    def make() -> ReferenceBinding:
        return ReferenceBinding(MemoryTransport(), CONTRACT)

    source = MemorySource()
    place = furnished(source.stream(), False)
    return source.run(play(CONTRACT, make, place, scenario, seed, 5.0, breadth=breadth))


def tried(history: list[Event]) -> list[Envelope]:
    started = [item for item in history if item.outcome is Outcome.INVOKE]
    return [item.envelope for item in [*started, *history] if item.operation in PUT]


PUT = (Operation.PUBLISH, Operation.INJECT)
ON: Mapping[Scenario, Callable[[tuple[Covered, Covered]], Covered]] = {
    scenarios.broken_publishes: lambda both: both[0],
    scenarios.broken_arrivals: lambda both: both[1],
    scenarios.broken_arrivals_everywhere: lambda both: both[1],
}


@pytest.mark.parametrize("spot", [SPOTS[number] for number in range(0, len(SPOTS), 40)], ids=str)
def test_the_domain_of_what_is_broken_is_known(spot: object) -> None:
    assert isinstance(spot, type(SPOTS[0]))
    assert domain_of(broken(spot, 3).envelope, CONTRACT) == spot.domain


def test_what_was_put_on_the_wire_and_what_was_left_out_is_counted_apart() -> None:
    one, other = (next(spot for spot in SPOTS if spot.requirement == name) for name in ("HDR-02", "PAY-03"))
    history = [
        event(Operation.PUBLISH, Outcome.INVOKE, broken(one, 1).envelope),
        event(Operation.PUBLISH, Outcome.FAIL, broken(one, 1).envelope),
        event(Operation.PUBLISH, Outcome.INVOKE, broken(one, 1).after),
        event(Operation.INJECT, Outcome.OK, broken(other, 1).envelope),
        event(Operation.INJECT, Outcome.FAIL, broken(one, 1).envelope, "a rule"),
    ]
    published, arrived = covered(history, CONTRACT)
    assert published.broken == {("HDR-02", one.domain)}
    assert arrived.broken == {("PAY-03", other.domain)}
    assert published.breakable == arrived.breakable == EVERY
    assert str(published).startswith(f"requirements broken on publish: 1 of {len({r for r, _ in EVERY})}, ")
    assert str(arrived).endswith(f"with their domains 1 of {len(EVERY)}; left out: 1 by 'a rule'")
    assert len(published.missing) == len(EVERY) - 1


@pytest.mark.parametrize("scenario", ON, ids=lambda item: item.__name__)
def test_everything_that_can_be_broken_is_at_default_effort(scenario: Scenario) -> None:
    history = played(scenario, Breadth.EACH)
    found = ON[scenario](covered(history, CONTRACT))
    assert found.missing == []
    assert found.left_out == {}
    assert {item.topic.split(".")[1] for item in tried(history) if len(item.topic) > 4} >= ENVIRONMENTS


@pytest.mark.parametrize("scenario", ON, ids=lambda item: item.__name__)
def test_each_requirement_is_broken_at_the_least_effort(scenario: Scenario) -> None:
    found = ON[scenario](covered(played(scenario, Breadth.FEW), CONTRACT))
    assert {name for name, _ in found.broken} == {name for name, _ in EVERY}
    assert len(found.broken) < len(EVERY)


@pytest.mark.parametrize("scenario", ON, ids=lambda item: item.__name__)
def test_one_seed_gives_one_workload(scenario: Scenario) -> None:
    assert tried(played(scenario, Breadth.FEW)) == tried(played(scenario, Breadth.FEW))
    assert tried(played(scenario, Breadth.FEW)) != tried(played(scenario, Breadth.FEW, 2))


def test_a_broker_that_holds_nothing_broken_shows_nothing() -> None:
    class Strict(MemoryProbe):
        def unfit(self, envelope: Envelope) -> str:
            return "only valid ones" if validate(envelope, CONTRACT) else ""

    class StrictSource(MemorySource):
        @asynccontextmanager
        async def stream(self) -> AsyncIterator[tuple[Endpoint, MemoryProbe]]:
            broker = MemoryBroker()
            yield Endpoint("memory", "memory", broker), Strict(broker)

    def make() -> ReferenceBinding:
        return ReferenceBinding(MemoryTransport(), CONTRACT)

    judge = Judge(CONTRACT, StrictSource(), make, 1, effort=EFFORTS["quick"])
    suite = suites()["DLQ-12"]
    result = judge.judge("DLQ-12", suite.scenario, suite.checkers)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "holds a broken envelope" in result.reason
