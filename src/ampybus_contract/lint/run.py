"""Every rule over one spec directory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ampybus_contract.contract import load_contract
from ampybus_contract.contract.build import build
from ampybus_contract.contract.files import read_spec
from ampybus_contract.contract.yaml_source import Source
from ampybus_contract.errors import SpecError, SpecProblem
from ampybus_contract.lint.headers import example_problems
from ampybus_contract.lint.payloads import payload_problems
from ampybus_contract.lint.services import service_problems
from ampybus_contract.lint.texts import level_problems
from ampybus_contract.lint.topics import topic_problems

RULES = (example_problems, payload_problems, service_problems, topic_problems, level_problems)


def lint(directory: Path) -> list[SpecProblem]:
    """Every problem of a spec directory, in the order of its files; none where it is sound.

    Where it does not load, the rules look at it as far as what is broken lets them.
    """
    problems: list[SpecProblem] = []
    try:
        load_contract(directory)
    except SpecError as error:
        problems = error.problems
    sources, _ = read_spec(directory)
    try:
        problems = [*problems, *_ruled(sources)]
    except (KeyError, IndexError, TypeError, AttributeError, ValueError):
        if not problems:
            raise
    return sorted(dict.fromkeys(problems), key=lambda item: (item.file, item.line, item.path))


def _ruled(sources: Mapping[str, list[Source]]) -> list[SpecProblem]:
    contract = build(sources)
    return [problem for rule in RULES for problem in rule(sources, contract)]
