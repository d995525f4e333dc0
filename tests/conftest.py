"""What several tests share: a valid envelope and a copy of the spec to change."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

from ampybus_contract import Envelope
from ampybus_contract.contract import data_directory
from ampybus_contract.envelope import read_fixture
from tests.tiers import Guard

pytest_plugins = ["pytester"]

for name, examples in (("quick", 10), ("default", 100), ("exhaustive", 2000)):
    settings.register_profile(name, deadline=None, max_examples=examples)
settings.load_profile("default")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Guard())


@pytest.fixture
def golden() -> Path:
    return data_directory("golden")


@pytest.fixture
def bars(golden: Path) -> Envelope:
    return read_fixture(json.loads((golden / "bars/valid/typical.json").read_text())).envelope


@pytest.fixture
def spec_copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(data_directory("spec"), tmp_path / "spec"))
