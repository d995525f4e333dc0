"""What several tests share: a valid envelope, a copy of the spec to change, and the rules of the tiers."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

from ampybus_contract import Envelope
from ampybus_contract.contract import data_directory
from ampybus_contract.envelope import read_fixture
from tests.flakes import FILE, flakes
from tests.hangs import Stacks
from tests.tiers import REAL_SERVERS, Guard, ours

pytest_plugins = ["pytester"]
HANG_SECONDS = 120

for name, examples in (("quick", 25), ("default", 100), ("exhaustive", 2000)):
    settings.register_profile(name, deadline=None, max_examples=examples)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Guard())
    config.pluginmanager.register(Stacks())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test has a time in which it ends; one with a real server is run once more where it fails."""
    for item in filter(ours, items):
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(HANG_SECONDS))
        if any(item.get_closest_marker(tier) for tier in REAL_SERVERS):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the tests that failed first and passed then, and say which of them nobody knows yet."""
    stats = terminalreporter.stats
    again = {report.nodeid for report in stats.get("rerun", [])}
    found = sorted(again & {report.nodeid for report in stats.get("passed", [])})
    known = {flake.test for flake in flakes(FILE.read_text(encoding="utf-8"))}
    for test in found:
        terminalreporter.write_line(f"FLAKY {test}{'' if test in known else ' (not in tests/flaky.md)'}")
    if found:
        terminalreporter.write_line(f"{len(found)} flaky, {len(known.intersection(found))} of them known")


@pytest.fixture
def golden() -> Path:
    return data_directory("golden")


@pytest.fixture
def bars(golden: Path) -> Envelope:
    return read_fixture(json.loads((golden / "bars/valid/typical.json").read_text())).envelope


@pytest.fixture
def spec_copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(data_directory("spec"), tmp_path / "spec"))
