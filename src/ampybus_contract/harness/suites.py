"""The checkers that the suites give each check, for those who judge a history without playing it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Any

from ampybus_contract.contract import data_directory
from ampybus_contract.harness.checkers import Checker


@cache
def checkers_by_check() -> dict[str, tuple[Checker, ...]]:
    """By the id of each check with a suite. Raises ImportError where pytest is not installed."""
    found: dict[str, tuple[Checker, ...]] = {}
    for path in sorted(data_directory("conformance").glob("test_*.py")):
        spec = importlib.util.spec_from_file_location(f"ampybus_suite_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found |= dict(_of(module))
    return found


def _of(module: ModuleType) -> Iterator[tuple[str, tuple[Checker, ...]]]:
    for test in vars(module).values():
        for mark in getattr(test, "pytestmark", ()):
            if mark.name == "ampybus":
                yield mark.args[0], _given(test)


def _given(test: Any) -> tuple[Checker, ...]:
    """What a test of a suite gives its judge besides the scenario."""
    given: list[Checker] = []
    test(lambda _scenario, *checkers: given.extend(checkers))
    return tuple(given)
