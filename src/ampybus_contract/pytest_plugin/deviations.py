"""Known deviations: checks that a binding is known to fail, from a file in the user's project."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from ampybus_contract.contract import Contract
from ampybus_contract.contract.yaml_source import Source, read_yaml
from ampybus_contract.errors import SpecError, SpecProblem
from ampybus_contract.harness.verdicts import Result, Verdict

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "required": ["deviations"],
    "additionalProperties": False,
    "properties": {
        "deviations": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["requirement", "reason", "issue", "expires"],
                "additionalProperties": False,
                "properties": {
                    "requirement": {"type": "string"},
                    "reason": {"type": "string", "minLength": 1},
                    "issue": {"type": "string", "pattern": "^https?://"},
                    "expires": {"type": "string", "pattern": "^\\d{4}-\\d{2}-\\d{2}$"},
                },
            },
        }
    },
}


@dataclass(frozen=True, slots=True)
class Deviation:
    """One entry: the checks it covers, why they fail, where that is tracked, and its last day."""

    name: str
    checks: frozenset[str]
    reason: str
    issue: str
    expires: date
    place: str


def read_deviations(path: Path, contract: Contract, today: date) -> list[Deviation]:
    """Read the file. ``requirement`` names a requirement, which covers its checks, or one check.

    Raises SpecError with every problem: unknown names, entries that have expired, a wrong shape.
    """
    source = read_yaml(path, path.as_posix())
    problems = [
        source.problem(
            "".join(f"/{part}" for part in error.absolute_path), "a list of deviations",
            error.message[:200], "write requirement, reason, issue (a link) and expires (a date)",
        )
        for error in Draft202012Validator(SCHEMA).iter_errors(source.data)
    ]  # fmt: skip
    if problems:
        raise SpecError(problems)
    read = list(_entries(source, contract, today))
    problems = [item for item in read if isinstance(item, SpecProblem)]
    if problems:
        raise SpecError(problems)
    return [item for item in read if isinstance(item, Deviation)]


def _entries(source: Source, contract: Contract, today: date) -> Iterator[Deviation | SpecProblem]:
    for index, entry in enumerate(source.data["deviations"]):
        name, at = entry["requirement"], f"/deviations/{index}"
        covered = frozenset(
            check for check, rule in contract.judged.items() if name == check or name in rule.requirements
        )
        if not covered:
            yield source.problem(
                f"{at}/requirement", "a check or a requirement that has checks", repr(name), "mend the name"
            )
        try:
            expires = date.fromisoformat(entry["expires"])
        except ValueError:
            yield source.problem(
                f"{at}/expires", "a day of the calendar", entry["expires"], "write YYYY-MM-DD"
            )
            continue
        if expires < today:
            yield source.problem(
                f"{at}/expires", f"{today} or later", entry["expires"], "mend the binding, or decide anew"
            )
        elif covered:
            place = f"{source.file}:{source.lines.get(at, 1)}"
            yield Deviation(name, covered, entry["reason"], entry["issue"], expires, place)


def known(result: Result, deviations: Iterable[Deviation]) -> Result:
    """The result, as a known deviation where it failed and an entry covers it."""
    if result.verdict is Verdict.FAIL:
        for item in deviations:
            if result.check in item.checks:
                reason = f"known until {item.expires}: {item.reason} ({item.issue}). {result.reason}"
                return replace(result, verdict=Verdict.DEVIATION, reason=reason)
    return result


def stale(deviations: Iterable[Deviation], results: Mapping[str, Result]) -> Iterator[str]:
    """One sentence for each entry that covers no failure, although all its checks have a verdict."""
    settled = (Verdict.PASS, Verdict.NOT_CLAIMED)
    for item in deviations:
        if all(check in results and results[check].verdict in settled for check in item.checks):
            yield (
                f"DEVIATION expected a failure of {item.name}, got none at {item.place}. "
                "Fix: remove the entry, it is stale"
            )
