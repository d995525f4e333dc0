"""The spec with one rule dropped or weakened at a time, derived by walking its files."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.contract import Contract, load_contract
from ampybus_contract.contract.coverage import gaps
from ampybus_contract.errors import AmpyBusError
from ampybus_contract.harness.judge import Judge
from ampybus_contract.harness.kill_matrix import SEED, Ground
from ampybus_contract.harness.schedules import EFFORTS
from ampybus_contract.harness.suites import suites
from ampybus_contract.harness.verdicts import Verdict
from ampybus_contract.lint import lint

ANYTHING = "(?s:.*)"
PROSE = frozenset(
    {"text", "rationale", "fix", "clause", "meaning", "example", "role", "language", "measures"}
)
OUTSIDE = frozenset({"checks.yaml", "payloads.yaml", "samples.yaml", "services.yaml"})
LINKS = frozenset({"checks", "decisions"})
FORMULA_PART = re.compile(r"\{[a-z_]+\}")
WEAKER = {"MUST": "MAY"}
NAMED_RULES = frozenset({"requirements", "required_headers", "aliases", "attributes", "forms"})


@dataclass(frozen=True, slots=True)
class SpecMutant:
    """One change: the file, the path of what is changed, and how (``drop``, ``widen``, ``double``, …)."""

    file: str
    path: tuple[str | int, ...]
    how: str
    value: Any = None

    @property
    def name(self) -> str:
        """The change in words."""
        place = "/".join(map(str, self.path))
        return f"{self.file.removesuffix('.yaml')}/{place}: {self.how}"

    def applied(self, data: Any) -> Any:
        """A copy of the file's data with the change."""
        made = copy.deepcopy(data)
        *parents, last = self.path
        inner = made
        for part in parents:
            inner = inner[part]
        if self.how == "drop":
            del inner[last]
        else:
            inner[last] = self.value
        return made


_Safe: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Loader(_Safe):  # type: ignore[misc]
    """Reads times as the texts that they are in the spec."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in forms if not tag.endswith(":timestamp")]
    for first, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def loaded(text: str) -> Any:
    """The data of a file of the spec."""
    return yaml.load(text, _Loader)


def dumped(data: Any) -> str:
    """The text of a file with that data; comments are lost, nothing else."""
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text


@cache
def spec_mutants(directory: Path) -> Sequence[SpecMutant]:
    """Every change to the rules of a spec directory, which stays as it is.

    Services, samples, what makes payloads likely, and the checks themselves are no rules. A level is
    weakened where it decides what a validator refuses.
    """
    decisive = load_contract(directory).envelope_requirements
    found: list[SpecMutant] = []
    for path in sorted(directory.rglob("*.yaml")):
        file = path.relative_to(directory).as_posix()
        if file not in OUTSIDE:
            data = loaded(path.read_text(encoding="utf-8"))
            found += [
                SpecMutant(file, *change)
                for change in _changes(data, ())
                if change[0][-1] != "level" or change[0][-2] in decisive
            ]
    return found


Witnesses = Callable[[Contract], Iterable[str]]
"""What of the project's files does not agree with a contract: ``golden: …``, ``published: …``."""

Change = tuple[tuple[str | int, ...], str, Any]


def _changes(value: Any, path: tuple[str | int, ...]) -> Iterator[Change]:
    key = path[-1] if path else ""
    if isinstance(value, dict):
        yield from _of_mapping(value, path)
    elif isinstance(value, list):
        if value and key not in LINKS:
            yield path, "without the last", value[:-1]
    elif isinstance(value, bool):
        yield path, "negate", not value
    elif isinstance(value, int | float):
        yield path, "double", value * 2 or 1
    elif key == "level" and value in WEAKER:
        yield path, f"weaken to {WEAKER[value]}", WEAKER[value]
    elif isinstance(value, str) and key not in PROSE:
        yield from _of_text(str(key), value, path)


def _of_mapping(value: dict[str, Any], path: tuple[str | int, ...]) -> Iterator[Change]:
    records = len(value) > 1 and all(isinstance(item, dict) for item in value.values())
    for name, item in value.items():
        optional = name in ("required", "dedupe_key", "key_without", "recommended", "latest_wins", "carries")
        if (records and path) or (path and path[-1] in NAMED_RULES) or optional:
            yield (*path, name), "drop", None
        if not (optional and isinstance(item, str)):
            yield from _changes(item, (*path, name))


def _of_text(key: str, value: str, path: tuple[str | int, ...]) -> Iterator[Change]:
    if key.endswith("pattern") or key == "subtopic":
        if value != ANYTHING:
            yield path, "widen", ANYTHING
    elif len(FORMULA_PART.findall(value)) > 1 and value.endswith("}"):
        yield path, "shorten", value[: value.rindex("}", 0, -1) + 1]


def noticed(
    mutant: SpecMutant, directory: Path, witnesses: Witnesses, contract: Contract, place: Ground
) -> str:
    """What notices a change of the copy in ``directory``, which is as before afterwards; empty for nothing.

    First lint and coverage, then what the project publishes and its goldens, then the suites: the reference
    binding keeps the changed contract, and is judged by the real one.
    """
    path = directory / mutant.file
    before = path.read_text(encoding="utf-8")
    path.write_text(dumped(mutant.applied(loaded(before))), encoding="utf-8")
    try:
        problems = lint(directory)
        if problems:
            return " ".join(f"lint: {problems[0].expected}".split())
        changed = load_contract(directory)
        for gap in gaps(changed):
            return f"coverage: {gap.id} {gap.lacks}"
        try:
            for witness in witnesses(changed):
                return witness
            return _failing(changed, contract, place)
        except LookupError as error:
            return f"crash: {error!r}"
    finally:
        path.write_text(before, encoding="utf-8")


def _failing(changed: Contract, contract: Contract, place: Ground) -> str:
    judge = Judge(
        contract,
        place.broker,
        lambda: ReferenceBinding(place.transport(), changed),
        SEED,
        place.patience,
        effort=EFFORTS["quick"],
    )
    for check in contract.judged:
        suite = suites()[check]
        try:
            result = judge.judge(check, suite.scenario, suite.checkers)
        except AmpyBusError as error:
            return f"check {check}: {error.code}"
        if result.verdict is Verdict.FAIL:
            return f"check {check}"
    return ""
