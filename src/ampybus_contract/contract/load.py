"""Load ``spec/`` into a Contract, reporting every problem at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from ampybus_contract.contract.build import build, envelope_requirements
from ampybus_contract.contract.descriptors import add_descriptors
from ampybus_contract.contract.files import data_directory, read_spec
from ampybus_contract.contract.meaning import meaning_problems
from ampybus_contract.contract.model import Contract
from ampybus_contract.contract.overlay import bases, suppression_problems
from ampybus_contract.contract.references import DECLARED, REFERENCE_RULES, pattern_problems
from ampybus_contract.contract.yaml_source import Source
from ampybus_contract.errors import SpecError, SpecProblem


@cache
def default_contract() -> Contract:
    """The contract that ships with the package; loaded once per process."""
    return load_contract(data_directory("spec"))


def load_contract(directory: Path) -> Contract:
    """Read and check all files of a spec directory or overlay. Raises SpecError with every problem."""
    sources, problems = read_spec(directory)
    broken = bool(problems)
    hidden = _some_hidden(sources, problems)
    for rule in (*REFERENCE_RULES, _meanings, _patterns, _suppressions):
        problems += _found(rule, sources, broken)
    if not broken:
        for place in reversed(bases(directory, data_directory("spec"))):
            problems += add_descriptors(place)
    if hidden:
        problems = [item for item in problems if item.expected != DECLARED]
    if problems:
        raise SpecError(list(dict.fromkeys(problems)))
    return build(sources)


Sources = Mapping[str, list[Source]]


def _some_hidden(sources: Sources, problems: Iterable[SpecProblem]) -> bool:
    """Whether requirements may be declared in a file that could not be read."""
    known = {source.file for group in sources.values() for source in group}
    return any(item.file.startswith("requirements/") and item.file not in known for item in problems)


def _found(
    rule: Callable[[Sources], Iterable[SpecProblem]], sources: Sources, broken: bool
) -> list[SpecProblem]:
    """What a rule finds; in files that depart from their schema, as much as it finds before it stumbles."""
    found: list[SpecProblem] = []
    try:
        for problem in rule(sources):
            found.append(problem)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError):
        if not broken:
            raise
    return found


def _patterns(sources: Sources) -> Iterator[SpecProblem]:
    for group in sources.values():
        for source in group:
            yield from pattern_problems(source)


def _meanings(sources: Sources) -> Iterator[SpecProblem]:
    yield from meaning_problems(sources["payloads"][0])


def _suppressions(sources: Sources) -> Iterator[SpecProblem]:
    levels = {
        name: item["level"]
        for source in sources["requirements"]
        for name, item in source.data["requirements"].items()
    }
    for head in sources.get("overlay", []):
        yield from suppression_problems(head, levels, envelope_requirements(sources))
