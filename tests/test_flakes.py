"""Known flakes have a cause and a date, and two weeks."""

from __future__ import annotations

import datetime as dt

import pytest

from tests.flakes import FILE, Flake, flakes, overdue

HEAD = "# Known flakes\n\nWords.\n\n| test | cause | since |\n|---|---|---|\n"
LINE = "| `tests/bindings/test_x.py::test_y[a]` | the port is taken | 2026-11-01 |\n"


def test_a_line_of_the_table_is_a_flake() -> None:
    wanted = Flake("tests/bindings/test_x.py::test_y[a]", "the port is taken", dt.date(2026, 11, 1))
    assert flakes(HEAD + LINE) == [wanted]


@pytest.mark.parametrize(("day", "late"), [(15, False), (16, True)])
def test_an_entry_older_than_fourteen_days_is_named_with_its_cause(day: int, late: bool) -> None:
    found = overdue(HEAD + LINE, dt.date(2026, 11, day))
    assert bool(found) is late
    assert all("test_y[a]" in words and "the port is taken" in words for words in found)


@pytest.mark.parametrize("line", ["| a | 2026-11-01 |\n", "| a |  | 2026-11-01 |\n", "| a | b | soon |\n"])
def test_an_entry_without_cause_or_date_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"FLAKE expected test, cause and date|Invalid isoformat"):
        flakes(HEAD + line)


def test_the_file_has_a_cause_for_each() -> None:
    assert all(flake.cause for flake in flakes(FILE.read_text(encoding="utf-8")))
