"""Each golden gets exactly the verdict it stands for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ampybus_contract import validate
from ampybus_contract.contract import data_directory
from ampybus_contract.envelope import read_fixture

GOLDEN = data_directory("golden")


def read(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*/valid/*.json")), ids=lambda path: path.stem)
def test_a_valid_golden_has_no_finding(path: Path) -> None:
    assert validate(read_fixture(read(path)).envelope) == []


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*/invalid/*.json")), ids=lambda path: path.stem)
def test_an_invalid_golden_breaks_what_it_says_and_nothing_else(path: Path) -> None:
    value = read(path)
    assert sorted({item.requirement for item in validate(read_fixture(value).envelope)}) == value["expect"]


@pytest.mark.parametrize("domain", ["bars", "orders"])
def test_a_domain_has_three_valid_goldens(domain: str) -> None:
    assert len(list((GOLDEN / domain / "valid").glob("*.json"))) >= 3
