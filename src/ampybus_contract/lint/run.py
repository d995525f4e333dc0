"""Every rule over one spec directory."""

from __future__ import annotations

from pathlib import Path

from ampybus_contract.contract import load_contract
from ampybus_contract.contract.files import read_spec
from ampybus_contract.errors import SpecError, SpecProblem
from ampybus_contract.lint.headers import example_problems
from ampybus_contract.lint.payloads import payload_problems
from ampybus_contract.lint.services import service_problems
from ampybus_contract.lint.texts import level_problems
from ampybus_contract.lint.topics import topic_problems

RULES = (example_problems, payload_problems, service_problems, topic_problems, level_problems)


def lint(directory: Path) -> list[SpecProblem]:
    """Every problem of a spec directory, in the order of its files; none where it is sound.

    Where it does not load, what keeps it from loading comes first; the rules look at it once it does.
    """
    try:
        contract = load_contract(directory)
    except SpecError as error:
        return error.problems
    sources, _ = read_spec(directory)
    found = [problem for rule in RULES for problem in rule(sources, contract)]
    return sorted(found, key=lambda item: (item.file, item.line, item.path))
