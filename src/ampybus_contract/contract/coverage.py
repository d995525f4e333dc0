"""The requirements catalogue walked both ways: which checks show what, and what nothing shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ampybus_contract.contract.model import Contract


@dataclass(frozen=True, slots=True)
class Gap:
    """A hole in the catalogue: the ID of a requirement or check, and what it lacks."""

    id: str
    lacks: str


def gaps(contract: Contract) -> Iterator[Gap]:
    """Requirements without a check or a reason, or with both, and checks without a requirement."""
    for requirement in contract.requirements.values():
        if not requirement.checks and requirement.no_check is None:
            yield Gap(requirement.id, "names no check and gives no reason why none is possible")
        if requirement.checks and requirement.no_check is not None:
            yield Gap(requirement.id, "names checks and also a reason why none is possible")
    for check in contract.checks.values():
        if not check.requirements:
            yield Gap(check.id, "shows no requirement")


def shown_by(contract: Contract, requirement: str) -> str:
    """In words, what shows a requirement: its checks, those without a suite so marked, or why none can."""
    rule = contract.requirements[requirement]
    if not rule.checks:
        return f"no check: {rule.no_check}"
    planned = {name for name in rule.checks if contract.checks[name].planned}
    return ", ".join(f"{name} (planned)" if name in planned else name for name in rule.checks)


def summary(contract: Contract) -> str:
    """The catalogue in figures: how many requirements have a suite, a planned check, or a reason for none."""
    suite = planned = 0
    for rule in contract.requirements.values():
        if any(name in contract.judged for name in rule.checks):
            suite += 1
        elif rule.checks:
            planned += 1
    none = len(contract.requirements) - suite - planned
    return (
        f"{len(contract.requirements)} requirements: {suite} with a suite, {planned} with planned checks "
        f"only, {none} without a check; {len(contract.checks)} checks: {len(contract.judged)} with a suite, "
        f"{len(contract.checks) - len(contract.judged)} planned"
    )
