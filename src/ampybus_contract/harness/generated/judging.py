"""What becomes of a generated mutant: checks judge it until one finds an anomaly in its history."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.contract import Contract
from ampybus_contract.harness.generated.catalogue import GeneratedMutant
from ampybus_contract.harness.judge import Judge, whole
from ampybus_contract.harness.kill_matrix import SEED, Ground, impatient
from ampybus_contract.harness.mutants.build import Build
from ampybus_contract.harness.suites import suites
from ampybus_contract.harness.verdicts import Result, Verdict

LIKELY = ("DLQ-13", "ENV-10", "IDM-09", "OBS-07", "DLQ-11", "ENV-09", "DAY-01")


class Fate(StrEnum):
    """``killed``: a check found an anomaly. ``survived``: none did, though all were asked.

    ``invalid``: the fault's own code raised, so it shows nothing about the judge. ``unproven``: a check
    failed, with nothing of the history that shows it.
    """

    KILLED = "killed"
    SURVIVED = "survived"
    INVALID = "invalid"
    UNPROVEN = "unproven"


@dataclass(frozen=True, slots=True)
class Judged:
    """A mutant's ID and fate, the check that decided it, and in words what was seen.

    ``trouble`` are exceptions that checks themselves raised.
    """

    id: str
    place: str
    operator: str
    trigger: str
    chapter: str
    fate: Fate
    check: str = ""
    reason: str = ""
    trouble: tuple[str, ...] = ()


def judged(contract: Contract, ground: Ground, mutant: GeneratedMutant) -> Judged:
    """Ask the checks that the ground shows, the likely ones first, until one kills the mutant."""
    told: list[str] = []
    unproven = reason = ""
    trouble: list[str] = []
    build = mutant.built(told.append)
    for check in likely_first(contract, ground, mutant.fault.chapter):
        try:
            result = _result(contract, ground, build, check)
        except Exception as error:
            trouble.append(f"{check}: {type(error).__name__}: {error}")
            continue
        if told:
            return _as(mutant, Fate.INVALID, check, told[0], trouble)
        if result.verdict is Verdict.FAIL and result.evidence:
            return _as(mutant, Fate.KILLED, check, result.reason, trouble)
        if result.verdict is Verdict.FAIL and not unproven:
            unproven, reason = check, result.reason
    fate = Fate.UNPROVEN if unproven else Fate.SURVIVED
    return _as(mutant, fate, unproven, reason, trouble)


def likely_first(contract: Contract, ground: Ground, chapter: str) -> Iterator[str]:
    """The checks that a ground shows: those of a chapter, those that find much, and then the others."""
    shown = [check for check in contract.judged if ground.shows(check, contract)]
    own = [check for check in shown if contract.checks[check].chapter == chapter]
    yield from dict.fromkeys([*own, *(check for check in LIKELY if check in shown), *shown])


def _result(contract: Contract, ground: Ground, build: Build, check: str) -> Result:
    suite = suites()[check]
    quick = impatient(contract)
    factory = partial(_built, build, ground, quick)
    judge = Judge(quick, ground.broker, factory, SEED, patience=ground.patience)
    return whole(judge.judge(check, suite.scenario, suite.checkers))


def _built(build: Build, ground: Ground, contract: Contract) -> ReferenceBinding:
    return build(ground.transport(), contract)


def _as(mutant: GeneratedMutant, fate: Fate, check: str, reason: str, trouble: list[str]) -> Judged:
    fault, trigger = mutant.fault, mutant.trigger
    return Judged(
        mutant.id,
        fault.place,
        fault.operator,
        trigger.kind,
        fault.chapter,
        fate,
        check,
        reason,
        tuple(trouble),
    )
