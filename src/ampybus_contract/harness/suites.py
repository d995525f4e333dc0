"""What the suites give each check, for those who judge without pytest: a scenario and checkers."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

from ampybus_contract.contract import data_directory
from ampybus_contract.harness.checkers import Checker
from ampybus_contract.harness.schedules import Scenario, Scheduled


@dataclass(frozen=True, slots=True)
class Suite:
    """What is played for a check, and what judges the history."""

    scenario: Scenario | Scheduled
    checkers: tuple[Checker, ...]


@cache
def suites() -> dict[str, Suite]:
    """By the id of each check with a suite. Raises ImportError where pytest is not installed."""
    found: dict[str, Suite] = {}
    for path in sorted(data_directory("conformance").glob("test_*.py")):
        spec = importlib.util.spec_from_file_location(f"ampybus_suite_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found |= dict(_of(module))
    return found


def checkers_by_check() -> dict[str, tuple[Checker, ...]]:
    """The checkers of each check with a suite. Raises ImportError where pytest is not installed."""
    return {check: suite.checkers for check, suite in suites().items()}


def _of(module: ModuleType) -> Iterator[tuple[str, Suite]]:
    for test in vars(module).values():
        for mark in getattr(test, "pytestmark", ()):
            if mark.name == "ampybus":
                yield mark.args[0], _given(test)


def _given(test: Any) -> Suite:
    """What a test of a suite gives its judge."""
    given: list[Suite] = []
    test(lambda scenario, *checkers: given.append(Suite(scenario, checkers)))
    (suite,) = given
    return suite
