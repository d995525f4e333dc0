"""The requirements catalogue is whole in both directions, and the coverage command says where it is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from ampybus_contract.cli.main import main
from ampybus_contract.contract import data_directory, default_contract, load_contract
from ampybus_contract.contract.coverage import gaps
from ampybus_contract.errors import SpecError

CONTRACT = default_contract()
DESIGNED = {
    "ENV": 8, "TOP": 5, "KEY": 4, "ORD": 7, "IDM": 8, "DLQ": 10, "RPL": 8, "FLT": 9, "BPR": 4, "BIG": 6,
    "OBS": 6, "SEC": 10, "SLO": 7, "AUD": 5, "INT": 2,
}  # fmt: skip
LEVEL_WORDS = {"MUST": {"should", "may"}, "SHOULD": {"must", "may"}, "MAY": {"must", "should"}}
DECISIONS, SECTIONS = 39, range(4, 19)
DECIDED_SINCE = {"D43"}
REQUIREMENT = """\
  {id}:
    level: MUST
    clause: section 1
    text: A text.
    rationale: A reason.
    fix: A fix.
"""


def add(spec: Path, name: str, more: str = "") -> None:
    with (spec / "requirements/topics.yaml").open("a") as file:
        file.write(REQUIREMENT.format(id=name) + more)


def test_every_designed_check_is_there() -> None:
    wanted = {f"{prefix}-{n:02}" for prefix, count in DESIGNED.items() for n in range(1, count + 1)}
    assert set(CONTRACT.checks) >= wanted


def test_the_catalogue_has_no_gap() -> None:
    assert list(gaps(CONTRACT)) == []


def test_links_are_the_same_from_both_ends() -> None:
    down = {(name, check) for name, rule in CONTRACT.requirements.items() for check in rule.checks}
    up = {(name, check) for check, rule in CONTRACT.checks.items() for name in rule.requirements}
    assert down == up


def test_every_decision_and_every_normative_section_is_referenced() -> None:
    decisions = {name for rule in CONTRACT.requirements.values() for name in rule.decisions}
    assert decisions == {f"D{n}" for n in range(1, DECISIONS + 1)} | DECIDED_SINCE
    clauses = (
        " , ".join(rule.clause for rule in CONTRACT.requirements.values()).replace(".", " ").replace(",", " ")
    )
    assert all(f"section {number} " in f"{clauses} " for number in SECTIONS)


@pytest.mark.parametrize("name", CONTRACT.requirements)
def test_no_text_disagrees_with_its_level(name: str) -> None:
    rule = CONTRACT.requirements[name]
    words = set(rule.text.lower().replace(",", " ").replace(".", " ").split())
    assert not words & LEVEL_WORDS.get(rule.level, set())


def test_no_id_is_a_requirement_and_a_check() -> None:
    assert not {name.split("-")[0] for name in CONTRACT.requirements} & set(DESIGNED)


def test_every_file_has_a_schema_that_closes_its_objects() -> None:
    spec = data_directory("spec")
    kinds = {path.stem for path in spec.glob("*.yaml")} | {"domain", "requirements"}
    for kind in kinds:
        schema = json.loads((spec / f"schema/{kind}.schema.json").read_text())
        Draft202012Validator.check_schema(schema)
        assert schema["$schema"].endswith("2020-12/schema")
        assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("", "TPC-99 names no check and gives no reason"),
        ("    checks: [ENV-01]\n    no_check: none\n", "TPC-99 names checks and also a reason"),
    ],
)
def test_coverage_fails_on_a_requirement_that_nothing_shows(
    spec_copy: Path, capsys: pytest.CaptureFixture[str], more: str, says: str
) -> None:
    add(spec_copy, "TPC-99", more)
    assert main(["spec", "coverage", str(spec_copy)]) == 1
    assert f"GAP {says}" in capsys.readouterr().out


def test_coverage_fails_on_a_check_that_shows_nothing(
    spec_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (spec_copy / "checks.yaml").open("a") as file:
        file.write("  ENV-99: {chapter: Envelope, text: A text., claim: null, mutants: [a]}\n")
    assert main(["spec", "coverage", str(spec_copy)]) == 1
    assert "GAP ENV-99 shows no requirement" in capsys.readouterr().out


def test_coverage_fails_on_a_spec_that_does_not_load(spec_copy: Path) -> None:
    (spec_copy / "checks.yaml").write_text("checks: []\n")
    assert main(["spec", "coverage", str(spec_copy)]) == 1


def test_a_link_may_stand_at_the_check(spec_copy: Path) -> None:
    add(spec_copy, "TPC-99")
    with (spec_copy / "checks.yaml").open("a") as file:
        file.write(
            "  ENV-99: {chapter: Envelope, text: Text., claim: null, requirements: [TPC-99], mutants: [a]}\n"
        )
    contract = load_contract(spec_copy)
    assert contract.requirements["TPC-99"].checks == ("ENV-99",)
    assert contract.checks["ENV-99"].requirements == ("TPC-99",)
    assert list(gaps(contract)) == []


@pytest.mark.parametrize(
    ("name", "more", "expected"),
    [
        ("TPC-99", "    checks: [ENV-77]\n", "a declared check"),
        ("ENV-01", "    checks: [ENV-01]\n", "an ID that no check has"),
    ],
)
def test_a_wrong_link_is_refused(spec_copy: Path, name: str, more: str, expected: str) -> None:
    add(spec_copy, name, more)
    with pytest.raises(SpecError) as caught:
        load_contract(spec_copy)
    assert [item.expected for item in caught.value.problems] == [expected]


def test_coverage_prints_every_requirement_and_counts_what_has_a_suite(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["spec", "coverage"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == sorted(CONTRACT.requirements)
    judged = len(CONTRACT.judged)
    assert lines[-1].endswith(
        f"{len(CONTRACT.checks)} checks: {judged} with a suite, {len(CONTRACT.checks) - judged} planned"
    )
    first = next(name for name, rule in CONTRACT.checks.items() if rule.planned)
    assert any(f"{first} (planned)" in line for line in lines)
