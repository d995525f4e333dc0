"""A deviation on file is reported as such; a stale, expired or unknown one is an error."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from ampybus_contract.contract import default_contract
from ampybus_contract.errors import SpecError
from ampybus_contract.harness.verdicts import Result, Verdict
from ampybus_contract.pytest_plugin.deviations import Deviation, known, read_deviations, stale

TODAY = date(2026, 6, 1)


def entry(
    requirement: str = "ENV-05", expires: str = "2026-06-01", issue: str = "https://tracker.example/7"
) -> str:
    return f"- {{requirement: {requirement}, reason: rebuilt, issue: '{issue}', expires: {expires}}}"


def read(tmp_path: Path, *entries: str) -> list[Deviation]:
    path = tmp_path / "deviations.yaml"
    path.write_text("\n".join(["deviations:", *entries]))
    return read_deviations(path, default_contract(), TODAY)


def test_a_failure_on_file_is_a_known_deviation_on_its_last_day(tmp_path: Path) -> None:
    deviations = read(tmp_path, entry())
    found = known(Result("ENV-05", Verdict.FAIL, "A header was lost."), deviations)
    assert found.verdict is Verdict.DEVIATION
    assert "rebuilt (https://tracker.example/7). A header was lost." in found.reason


def test_a_requirement_covers_its_checks_and_no_other(tmp_path: Path) -> None:
    deviations = read(tmp_path, entry("TPC-06"))
    assert known(Result("TOP-03", Verdict.FAIL), deviations).verdict is Verdict.DEVIATION
    assert known(Result("TOP-04", Verdict.FAIL), deviations).verdict is Verdict.FAIL


def test_what_is_inconclusive_is_not_covered(tmp_path: Path) -> None:
    result = Result("ENV-05", Verdict.INCONCLUSIVE)
    assert known(result, read(tmp_path, entry())) == result


def test_an_entry_that_covers_no_failure_is_stale(tmp_path: Path) -> None:
    deviations = read(tmp_path, entry())
    (sentence,) = stale(deviations, {"ENV-05": Result("ENV-05", Verdict.PASS)})
    assert "deviations.yaml:2" in sentence
    assert list(stale(deviations, {"ENV-05": Result("ENV-05", Verdict.DEVIATION)})) == []
    assert list(stale(deviations, {"ENV-05": Result("ENV-05", Verdict.DESELECTED)})) == []


def test_all_problems_come_at_once_with_their_places(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        read(tmp_path, entry("ENV-99"), entry(expires="2026-05-31"), entry(expires="2026-02-30"))
    assert [(item.line, item.path) for item in caught.value.problems] == [
        (2, "/deviations/0/requirement"),
        (3, "/deviations/1/expires"),
        (4, "/deviations/2/expires"),
    ]


def test_an_entry_needs_a_link(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"deviations\.yaml:2"):
        read(tmp_path, entry(issue="later"))
