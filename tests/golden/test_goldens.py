"""Goldens get exactly the verdict they stand for, and a wrong one is noticed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ampybus_contract.cli.main import main
from ampybus_contract.contract import default_contract
from ampybus_contract.errors import SpecError
from ampybus_contract.golden import build, differences
from ampybus_contract.golden.build import derived_files
from ampybus_contract.golden.cases import patched


@pytest.fixture
def copy(golden: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(golden, tmp_path / "golden"))


def test_every_golden_is_what_it_stands_for(golden: Path) -> None:
    assert list(differences(golden, default_contract())) == []


def test_a_rebuild_gives_the_same_bytes(golden: Path, copy: Path) -> None:
    for path in (*copy.rglob("*.wire"), *copy.glob("*/invalid/*.json")):
        path.unlink()
    (copy / "bars/invalid/left.wire").write_bytes(b"")
    build(copy, default_contract())
    assert {path.relative_to(copy): path.read_bytes() for path in derived_files(copy)} == {
        path.relative_to(golden): path.read_bytes() for path in derived_files(golden)
    }


@pytest.mark.parametrize("domain", default_contract().domains)
def test_a_domain_has_three_valid_goldens(golden: Path, domain: str) -> None:
    assert len(list((golden / domain / "valid").glob("*.json"))) >= 3


def test_every_requirement_of_an_envelope_has_an_invalid_golden(golden: Path) -> None:
    broken = {
        item for path in golden.glob("*/invalid/*.json") for item in json.loads(path.read_text())["expect"]
    }
    assert broken == default_contract().envelope_requirements


@pytest.mark.parametrize(
    ("file", "change", "says"),
    [
        ("bars/valid/typical.json", {"topic": "ampy.prod.bars.v1.XNAS.MSFT"}, "PKY-04"),
        ("bars/invalid/HDR-07-offset.json", {"expect": []}, "differs from what it is built from"),
        ("bars/valid/minimal.json", {"payload": {"volume": "1"}}, "minimal.wire: differs"),
        ("bars/valid/minimal.json", {"payload": {"nothing": 1}}, "unreadable"),
        ("bars/valid/minimal.json", {"expect": ["HDR-01"]}, "expected HDR-01, got no finding"),
    ],
)
def test_a_wrong_golden_is_named(
    copy: Path, file: str, change: dict[str, object], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copy / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert main(["golden", "verify", str(copy)]) == 1
    assert says in capsys.readouterr().out


def test_what_belongs_to_no_golden_is_named(copy: Path) -> None:
    (copy / "bars/valid/left.wire").write_bytes(b"")
    (copy / "fx/invalid/left.json").write_text("{}")
    found = list(differences(copy, default_contract()))
    assert "bars/valid/left.wire: belongs to no golden. Fix: remove it, or add a case" in found
    assert "fx/invalid/left.json: belongs to no golden. Fix: remove it, or add a case" in found


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("from: typical", "from: nothing", "a golden in valid/"),
        ("change:", "changes:", "cases.schema.json"),
    ],
)
def test_a_wrong_case_is_named_with_its_place(copy: Path, old: str, new: str, says: str) -> None:
    file = copy / "bars/cases.yaml"
    file.write_text(file.read_text().replace(old, new, 1))
    with pytest.raises(SpecError, match=r"bars/cases\.yaml:") as caught:
        build(copy, default_contract())
    assert says in str(caught.value)


def test_a_merge_patch_sets_removes_and_replaces() -> None:
    base = {"a": {"b": 1, "c": [1, 2]}, "d": 2}
    assert patched(base, {"a": {"b": None, "c": [3]}, "e": {"f": None}}) == {"a": {"c": [3]}, "d": 2, "e": {}}
    assert base == {"a": {"b": 1, "c": [1, 2]}, "d": 2}
