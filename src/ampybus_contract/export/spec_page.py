"""What notices each change of the spec, as a page that is published beside the kill matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from ampybus_contract.export.kill_page import PAGES, table
from ampybus_contract.harness.spec_survivors import explained

PAGE = PAGES / "spec-mutants.md"
WAYS = {
    "lint": "`ampybus spec lint`",
    "coverage": "the walk from requirements to checks and back",
    "published": "the published kill matrix, which no longer fits",
    "golden": "a golden envelope whose verdict is another one",
    "check": "a check, when the reference binding keeps the changed spec",
    "crash": "the project's code, which needs the rule",
}


def way(notice: str) -> str:
    """Which kind of thing noticed a change, a key of ``WAYS``."""
    return notice.partition(":")[0].partition(" ")[0]


def as_markdown(found: Mapping[str, str], known: Mapping[str, str]) -> str:
    """The page. ``found`` is what noticed each change, ``known`` the reasons of survivors."""
    return "\n".join(_lines(found, known)) + "\n"


def _lines(found: Mapping[str, str], known: Mapping[str, str]) -> Iterator[str]:
    counts = Counter(way(notice) for notice in found.values() if notice)
    survivors = [name for name, notice in found.items() if not notice]
    yield "# Changes of the spec: the proof that its rules are looked at"
    yield ""
    yield (
        "Each rule of the spec is dropped or weakened, one at a time, and something must notice. "
        "`make spec-mutants` builds this page, and fails where it differs or a survivor has no reason."
    )
    yield ""
    yield f"- {len(found) - len(survivors)} of {len(found)} changes are noticed."
    yield f"- {len(survivors)} are not, each for a reason that is below."
    yield ""
    yield "## What notices"
    yield ""
    yield from table(("changes", "noticed by"), [(str(counts[name]), words) for name, words in WAYS.items()])
    yield ""
    yield "## Changes that a check notices"
    yield ""
    seen = [(name, notice.split()[1].rstrip(":")) for name, notice in found.items() if way(notice) == "check"]
    yield from table(("change", "check"), seen)
    yield ""
    yield "## Changes that nothing notices, and why"
    yield ""
    yield from table(("change", "reason"), [(name, explained(name, known) or "NONE") for name in survivors])
