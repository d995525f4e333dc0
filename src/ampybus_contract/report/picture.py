"""The space-time picture of a piece of history: actors as lanes, time downwards, messages as arrows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

BROKER = "broker"
LANE, ROW, TOP, LEFT = 130, 46, 44, 84


@dataclass(frozen=True, slots=True)
class Step:
    """One event as drawn, in pixels: from ``x1`` to ``x2`` at height ``y``; a point where both are equal.

    ``kind`` is ok, fail or info; ``marked`` says that it is the event that the finding is about.
    """

    x1: int
    x2: int
    y: int
    kind: str
    time: str
    words: str
    detail: str
    marked: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """Lanes with the middle of each in pixels, the steps, and the size of the whole."""

    lanes: tuple[tuple[str, int], ...]
    steps: tuple[Step, ...]
    width: int
    height: int


def picture(events: Sequence[Mapping[str, Any]]) -> Picture:
    """Lay out events in the order of the history; the last one is what the finding is about."""
    senders = [item["actor"] for item in events if item["operation"] == "publish"]
    takers = [item["actor"] for item in events if item["operation"] in ("deliver", "effect", "subscribe")]
    names = [
        *dict.fromkeys(senders),
        BROKER,
        *(name for name in dict.fromkeys(takers) if name not in senders),
    ]
    middle = {name: LEFT + LANE // 2 + LANE * index for index, name in enumerate(names)}
    steps = tuple(
        _step(item, middle, TOP + ROW * (row + 1), item is events[-1]) for row, item in enumerate(events)
    )
    width = LEFT + LANE * len(names)
    return Picture(tuple(middle.items()), steps, width, TOP + ROW * (len(events) + 1))


def _step(event: Mapping[str, Any], middle: Mapping[str, int], y: int, marked: bool) -> Step:
    operation, outcome = event["operation"], event["outcome"]
    own = middle.get(event["actor"], middle[BROKER])
    start, end = own, own
    if operation == "publish" and outcome != "invoke":
        end = middle[BROKER]
    elif operation == "deliver":
        start = middle[BROKER]
    headers = event["headers"]
    attempt = f", attempt {event['attempt']}" if event["attempt"] > 1 else ""
    words = (
        f"{operation} {outcome}{attempt}"
        if outcome != "ok" or operation == "publish"
        else operation + attempt
    )
    detail = f"…{headers.get('message_id', 'no id')[-6:]}"
    return Step(start, end, y, outcome, f"{event['at'] / 1e9:.3f} s", words, detail, marked)
