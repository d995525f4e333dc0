"""The findings as workflow commands, which GitHub shows beside a change."""

from __future__ import annotations

from collections.abc import Iterator

from ampybus_contract.harness.verdicts import Verdict
from ampybus_contract.report.document import RunReport

KINDS = {Verdict.FAIL: "error", Verdict.INCONCLUSIVE: "warning", Verdict.DEVIATION: "notice"}


def annotated(run: RunReport) -> Iterator[str]:
    """One command a finding: an error for a failure, a warning where there is no verdict, else a notice."""
    for item in run.checks:
        if kind := KINDS.get(item.verdict):
            yield annotation(kind, item.id, f"{item.text}\n{item.reason}\nRun it again: {item.again}")


def annotation(kind: str, title: str, message: str, place: str = "") -> str:
    """A workflow command; ``place`` is its properties, escaped already."""
    properties = ",".join(part for part in (place, f"title={escape(title, ':,')}") if part)
    return f"::{kind} {properties}::{escape(message)}"


def escape(text: str, more: str = "") -> str:
    """Text for a workflow command; ``more`` names further characters to escape in a property."""
    for character in "%\r\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    return text
