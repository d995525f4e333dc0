"""Goldens get exactly the verdict they stand for, and a wrong one is noticed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ampybus_contract.cli.main import main
from ampybus_contract.contract import default_contract
from ampybus_contract.golden import build, differences


@pytest.fixture
def copy(golden: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(golden, tmp_path / "golden"))


def test_every_golden_is_what_it_stands_for(golden: Path) -> None:
    assert list(differences(golden, default_contract())) == []


def test_a_rebuild_gives_the_same_bytes(golden: Path, copy: Path) -> None:
    for wire in copy.rglob("*.wire"):
        wire.unlink()
    assert build(copy, default_contract()) > 0
    assert {path.relative_to(copy): path.read_bytes() for path in copy.rglob("*.wire")} == {
        path.relative_to(golden): path.read_bytes() for path in golden.rglob("*.wire")
    }


@pytest.mark.parametrize("domain", default_contract().domains)
def test_a_domain_has_three_valid_goldens(golden: Path, domain: str) -> None:
    assert len(list((golden / domain / "valid").glob("*.json"))) >= 3


def test_every_requirement_of_headers_and_keys_has_an_invalid_golden(golden: Path) -> None:
    broken = {
        item for path in golden.glob("*/invalid/*.json") for item in json.loads(path.read_text())["expect"]
    }
    elsewhere = {"SIZ-01", "SIZ-02"}
    assert broken | elsewhere == set(default_contract().requirements)


@pytest.mark.parametrize(
    ("file", "change", "says"),
    [
        ("bars/valid/typical.json", {"topic": "ampy.prod.bars.v1.XNAS.MSFT"}, "PKY-04"),
        ("bars/invalid/HDR-07-offset.json", {"expect": []}, "names no requirement"),
        ("bars/valid/minimal.json", {"payload": {"volume": "1"}}, ".wire file differs"),
        ("bars/valid/minimal.json", {"payload": {"nothing": 1}}, "unreadable"),
    ],
)
def test_a_wrong_golden_is_named(
    copy: Path, file: str, change: dict[str, object], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copy / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert main(["golden", "verify", str(copy)]) == 1
    out = capsys.readouterr().out
    assert f"{file}: " in out
    assert says in out


def test_a_wire_file_without_a_golden_is_named(copy: Path) -> None:
    (copy / "bars/valid/left.wire").write_bytes(b"")
    assert list(differences(copy, default_contract())) == [
        "bars/valid/left.wire: belongs to no golden. Fix: remove it"
    ]
