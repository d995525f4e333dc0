"""Judge a recorded history: as its suite does, or by the checkers that hold for any."""

from __future__ import annotations

from collections.abc import Sequence

from ampybus_contract.contract import Contract
from ampybus_contract.errors import HistoryError
from ampybus_contract.harness.checkers import Checker, unseen
from ampybus_contract.harness.checkers.catalogue import GENERAL
from ampybus_contract.harness.history import Event
from ampybus_contract.harness.judge import verdict_on
from ampybus_contract.harness.recording import Head
from ampybus_contract.harness.suites import checkers_by_check
from ampybus_contract.harness.verdicts import Result, Verdict, evidence


def named(names: str) -> tuple[Checker, ...]:
    """General checkers by their names, separated by commas. Raises HistoryError for any other."""
    known = {entry.name: entry.checker for entry in GENERAL}
    unknown = [name for name in names.split(",") if name not in known]
    if unknown:
        raise HistoryError(
            f"HISTORY expected checkers out of {', '.join(known)}, got {', '.join(unknown)[:200]!r}. "
            "Fix: see 'ampybus check --list'"
        )
    return tuple(known[name] for name in names.split(","))


def judged(
    name: str, head: Head, events: Sequence[Event], contract: Contract, chosen: Sequence[Checker] = ()
) -> Result:
    """The verdict on a recording: by the chosen checkers, else by its check, else by all that apply.

    Raises HistoryError for a check that has no suite.
    """
    if not events:
        return Result(head.check or name, Verdict.INCONCLUSIVE, "nothing was recorded")
    if head.check and not chosen:
        return verdict_on(head.check, events, _of_check(head, contract, name), contract)
    asked = chosen or [
        entry.checker
        for entry in GENERAL
        if entry.checker is not unseen and (not entry.claim or entry.claim in head.claims)
    ]
    found = [anomaly for checker in asked for anomaly in checker(events, contract)]
    if found:
        return Result(name, Verdict.FAIL, found[0].sentence, evidence(found))
    if not chosen and (late := unseen(events, contract)):
        reason = f"the recording ends too early for a verdict: {late[0].sentence}"
        return Result(name, Verdict.INCONCLUSIVE, reason, evidence(late))
    return Result(name, Verdict.PASS)


def _of_check(head: Head, contract: Contract, name: str) -> tuple[Checker, ...]:
    known = checkers_by_check()
    if head.check not in known or head.check not in contract.checks:
        fix = "judge with the version that recorded it, or leave 'check' empty for the general checkers"
        raise HistoryError(
            f"HISTORY expected a check with a suite, got {head.check[:40]!r} at {name}:1. Fix: {fix}"
        )
    return known[head.check]
