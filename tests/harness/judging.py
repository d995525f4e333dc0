"""Judges a binding, whole or broken in one way, by one check; for the tests of mutants on every broker."""

from __future__ import annotations

from collections.abc import Callable

from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.transport import Transport
from ampybus_contract.brokers.protocol import Broker
from ampybus_contract.contract import default_contract
from ampybus_contract.harness.judge import PATIENCE_SECONDS, Judge, whole
from ampybus_contract.harness.kill_matrix import impatient
from ampybus_contract.harness.mutants import Mutant, mutants
from ampybus_contract.harness.schedules import Scenario, Scheduled
from ampybus_contract.harness.suites import suites
from ampybus_contract.harness.verdicts import Verdict

CONTRACT = impatient(default_contract())
SUITES = suites()
MUTANTS = mutants()


def verdict(
    check: str,
    broker: Broker,
    factory: Callable[[], ReferenceBinding],
    patience: float = PATIENCE_SECONDS,
    scenario: Scenario | Scheduled | None = None,
) -> Verdict:
    suite = SUITES[check]
    judge = Judge(CONTRACT, broker, factory, 1, patience=patience)
    return whole(judge.judge(check, scenario or suite.scenario, suite.checkers)).verdict


def broken(mutant: Mutant, transport: type[Transport]) -> Callable[[], ReferenceBinding]:
    return lambda: mutant.build(transport(), CONTRACT)


def applies(check: str, broker: Broker) -> bool:
    """Whether a broker has what a check needs."""
    return not CONTRACT.checks[check].lacks(getattr(broker, "levers", frozenset()))
