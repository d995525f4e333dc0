"""The known flakes in ``flaky.md``: read, and refused once they are old (``python -m tests.flakes``)."""

from __future__ import annotations

import datetime as dt
import sys
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("flaky.md")
MOST_DAYS = 14
CELLS = 3


@dataclass(frozen=True, slots=True)
class Flake:
    """A test that is known to fail at times, why, and since when."""

    test: str
    cause: str
    since: dt.date


def flakes(text: str) -> list[Flake]:
    """The lines of the table. Raises ValueError for one that lacks a test, a cause or a date."""
    found = []
    for line in text.splitlines():
        if not line.startswith("|") or line.startswith(("| test |", "|---")):
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != CELLS or not all(cells):
            raise ValueError(f"FLAKE expected test, cause and date, got {line!r}. Fix: fill in all three")
        found.append(Flake(cells[0].strip("`"), cells[1], dt.date.fromisoformat(cells[2])))
    return found


def overdue(text: str, today: dt.date) -> list[str]:
    """What is wrong with the table on that day: one sentence for each entry that is older than 14 days."""
    return [
        f"FLAKE {flake.test}: expected to be mended within {MOST_DAYS} days, got an entry of {flake.since}. "
        f"Fix: mend the cause ({flake.cause}) and remove the line from tests/flaky.md"
        for flake in flakes(text)
        if (today - flake.since).days > MOST_DAYS
    ]


if __name__ == "__main__":
    late = overdue(FILE.read_text(encoding="utf-8"), dt.datetime.now(dt.UTC).date())
    print("\n".join(late) or "no known flake is overdue")
    sys.exit(bool(late))
