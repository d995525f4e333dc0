"""What of a finding is shown, and the headers of its message side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

SHOWN = 5
LONG, AROUND = 240, 40

Shown = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class HeaderRow:
    """A header as it was first and last; None where it is absent.

    ``shown`` are both in words; of long ones the part where they begin to differ.
    """

    name: str
    before: str | None
    after: str | None

    @property
    def shown(self) -> tuple[str, str]:
        """The values as a person reads them."""
        pairs = zip(self.before or "", self.after or "", strict=False)
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs)) if self.differs else 0
        return _part(self.before, same), _part(self.after, same)

    @property
    def differs(self) -> bool:
        """Whether it changed."""
        return self.before != self.after


def shown(evidence: Sequence[Shown]) -> list[Shown]:
    """At most ``SHOWN`` of what shows a finding: one for each sentence, then more of the same."""
    first = {item["sentence"]: place for place, item in reversed(list(enumerate(evidence)))}
    places = [*sorted(first.values()), *(place for place in range(len(evidence)))]
    return [evidence[place] for place in list(dict.fromkeys(places))[:SHOWN]]


def header_rows(events: Sequence[Shown]) -> list[HeaderRow]:
    """The headers of the first and the last event, those that differ in front.

    Empty where no header differs, or the two events are not about one message.
    """
    if len(events) < 2 or events[0]["payload_bytes"] != events[-1]["payload_bytes"]:
        return []
    before, after = events[0]["headers"], events[-1]["headers"]
    if before.get("message_id") != after.get("message_id") and events[0]["topic"] == events[-1]["topic"]:
        return []
    rows = [HeaderRow(name, before.get(name), after.get(name)) for name in sorted({*before, *after})]
    return sorted(rows, key=lambda row: not row.differs) if any(row.differs for row in rows) else []


def _part(value: str | None, same: int) -> str:
    """A value, or of a long one what is around the place after the first ``same`` characters."""
    if value is None:
        return "(absent)"
    if len(value) <= LONG:
        return value
    start = max(min(same - AROUND, len(value) - LONG), 0)
    end = start + LONG
    return f"{'…' * (start > 0)}{value[start:end]}{'…' * (end < len(value))} ({len(value)} characters)"
