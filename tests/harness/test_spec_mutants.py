"""The spec is walked, each rule dropped or weakened, and something notices, or the reason is on file."""

from __future__ import annotations

from pathlib import Path

import pytest

from ampybus_contract.cli.main import main
from ampybus_contract.cli.spec_mutant_runs import witnesses
from ampybus_contract.contract import data_directory, default_contract, load_contract
from ampybus_contract.export import spec_page
from ampybus_contract.harness.kill_matrix import ground
from ampybus_contract.harness.spec_mutants import dumped, loaded, noticed, spec_mutants
from ampybus_contract.harness.spec_survivors import explained, explanations, stale
from ampybus_contract.lint import lint

CONTRACT = default_contract()
MADE = {item.name: item for item in spec_mutants(data_directory("spec"))}


@pytest.mark.parametrize("header", [name for name, rule in CONTRACT.headers.items() if rule.required])
def test_each_required_header_is_dropped(header: str) -> None:
    assert f"headers/headers/{header}/required: drop" in MADE


def test_patterns_limits_bounds_and_levels_are_changed_and_prose_is_not() -> None:
    assert {
        "headers/headers/message_id/pattern: widen",
        "contract/payload/sent_below_bytes: double",
        "delivery/tiers/execution/attempts: double",
        "requirements/topics/requirements/TPC-01/level: weaken to MAY",
        "domains/orders/dedupe_key: drop",
        "domains/bars/key: shorten",
    } <= set(MADE)
    assert not any(name.split(":")[0].endswith(("/rationale", "/fix", "/example")) for name in MADE)


@pytest.mark.parametrize(
    ("name", "notices"),
    [
        ("delivery/tiers/market_data: drop", "lint: one of"),
        ("headers/headers/trace_id/required: drop", "golden: bars/invalid/HDR-01-no-trace-id"),
        ("domains/dlq/required_headers/dlq_reason: drop", "golden: dlq/invalid/DLT-01-no-reason"),
        ("requirements/observability/requirements/MET-01: drop", "published: mutants.md"),
        ("requirements/headers/requirements/HDR-09/level: weaken to MAY", "published: mutants.md"),
        ("backpressure/in_flight: double", "check BPR-01"),
    ],
)
def test_a_change_is_noticed_and_undone(spec_copy: Path, name: str, notices: str) -> None:
    before = {path: path.read_bytes() for path in spec_copy.rglob("*.yaml")}
    with ground("memory", CONTRACT) as place:
        assert noticed(MADE[name], spec_copy, witnesses, CONTRACT, place).startswith(notices)
    assert {path: path.read_bytes() for path in spec_copy.rglob("*.yaml")} == before


def test_a_file_that_is_written_without_a_change_is_sound(spec_copy: Path) -> None:
    for path in spec_copy.rglob("*.yaml"):
        path.write_text(dumped(loaded(path.read_text(encoding="utf-8"))), encoding="utf-8")
    assert lint(spec_copy) == []
    assert list(witnesses(load_contract(spec_copy))) == []


@pytest.mark.parametrize("name", ["headers/headers/run_id/required: drop", "domains/bars/key: shorten"])
def test_a_change_is_what_its_name_says(name: str) -> None:
    mutant = MADE[name]
    data = loaded((data_directory("spec") / mutant.file).read_text())
    made = mutant.applied(data)
    assert made != data
    assert loaded((data_directory("spec") / mutant.file).read_text()) == data


def test_reasons_belong_to_changes_that_exist() -> None:
    assert stale(list(MADE), explanations()) == []
    assert all(reason.endswith(".") for reason in explanations().values())


def test_a_survivor_without_a_reason_and_a_stale_reason_are_named() -> None:
    assert explained("headers/x: drop", {"domains/*": "r"}) is None
    assert explained("domains/a: drop", {"domains/*": "r"}) == "r"
    assert "stale" in stale(["headers/x: drop"], {"domains/*": "r"})[0]


def test_the_page_says_what_notices_and_why_the_rest_may_survive() -> None:
    found = {"a: drop": "lint: x", "b: double": "check DLQ-01", "c: negate": "", "d: drop": "check ENV-07: E"}
    page = spec_page.as_markdown(found, {"c: *": "It is so."})
    assert "- 3 of 4 changes are noticed." in page
    assert "| b: double | DLQ-01 |\n| d: drop | ENV-07 |\n" in page
    assert "| 2 | a check" in page
    assert "| c: negate | It is so. |" in page


def test_the_published_page_has_every_survivor_and_its_reason() -> None:
    rows = spec_page.PAGE.read_text(encoding="utf-8").rpartition("|---|---|\n")[2].splitlines()
    survivors = {name.strip(): reason.strip() for _, name, reason, _ in (row.split("|") for row in rows)}
    known = explanations()
    assert survivors.keys() <= MADE.keys()
    assert all(explained(name, known) == reason for name, reason in survivors.items())
    assert stale(list(survivors), known) == []
    assert f"of {len(MADE)} changes are noticed" in spec_page.PAGE.read_text(encoding="utf-8")


def test_a_part_of_the_changes_is_not_published(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mutants", "--spec", "--publish", "-k", "headers/trace_id/required"]) == 2
    assert "the whole spec" in capsys.readouterr().err


def test_the_command_says_what_notices(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mutants", "--spec", "--jobs", "1", "-k", "headers/trace_id/required"]) == 0
    out = capsys.readouterr().out
    assert "golden: bars/invalid/HDR-01-no-trace-id.json" in out
    assert "1 changes: 1 by golden; 0 survived" in out
