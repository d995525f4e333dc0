"""The space-time picture of a piece of history: actors as lanes, time downwards, messages as arrows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

BROKER = "broker"
AT_BROKER = (BROKER, "wire")
LANE, ROW, TOP, LEFT = 104, 46, 36, 62
SLOPE, LETTER = 14, 7
NAME, WORDS = 15, 20

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One event as drawn, in pixels: from ``x1``, ``y1`` to ``x2``, ``y``; a point where both x are equal.

    ``y`` is the height of its row, ``label`` that of its words. ``kind`` is ok, invoke, fail or info;
    ``marked`` says that it is the event that the finding is about.
    """

    x1: int
    y1: int
    x2: int
    y2: int
    y: int
    label: int
    kind: str
    time: str
    words: str
    marked: bool


@dataclass(frozen=True, slots=True)
class Lane:
    """An actor: its whole name, the part that there is room for, and its middle in pixels."""

    name: str
    short: str
    x: int


@dataclass(frozen=True, slots=True)
class Picture:
    """The lanes, the steps, and the size of the whole in pixels."""

    lanes: tuple[Lane, ...]
    steps: tuple[Step, ...]
    width: int
    height: int


def picture(events: Sequence[Event]) -> Picture:
    """Lay out events in the order of the history; the last one is what the finding is about.

    A message leaves its producer downwards and comes from the height at which it reached the broker, so that
    the arrows of messages that overtake one another cross.
    """
    middle = {name: LEFT + LANE // 2 + LANE * index for index, name in enumerate(_actors(events))}
    lanes = tuple(Lane(name, _end(name), x) for name, x in middle.items())
    steps = tuple(_steps(events, middle))
    ends = [
        LEFT + LANE * len(lanes),
        *((step.x1 + step.x2 + LETTER * len(step.words)) // 2 for step in steps),
    ]
    return Picture(lanes, steps, max(ends), TOP + ROW * (len(events) + 1) - ROW // 2)


def times(events: Sequence[Event]) -> list[str]:
    """The time of each event in seconds, to the microsecond where milliseconds would not tell two apart."""
    stamps = [event["at"] / 1e9 for event in events]
    short = [f"{at:.3f} s" for at in stamps]
    return short if len({*short}) == len({*stamps}) else [f"{at:.6f} s" for at in stamps]


def _actors(events: Sequence[Event]) -> list[str]:
    senders = [item["actor"] for item in events if item["operation"] == "publish"]
    others = [item["actor"] for item in events if item["actor"] not in (*AT_BROKER, *senders)]
    return [*dict.fromkeys(senders), BROKER, *dict.fromkeys(others)]


def _steps(events: Sequence[Event], middle: Mapping[str, int]) -> Iterator[Step]:
    arrived: dict[str, int] = {}
    handed: set[tuple[str, str]] = set()
    several = len({item["topic"] for item in events if item["topic"]}) > 1
    for row, (event, time) in enumerate(zip(events, times(events), strict=True)):
        operation, actor = event["operation"], event["actor"]
        name, y = event["headers"].get("message_id", ""), TOP + ROW * (row + 1)
        own = middle.get(actor, middle[BROKER])
        x1, y1, x2, y2, label = own, y, own, y, y - 12
        if operation == "publish" and not _answered(event, events[row + 1 :]):
            x2, y2 = middle[BROKER], y + SLOPE
            arrived[name] = y2
        elif own == middle[BROKER]:
            arrived.setdefault(name, y)
        elif operation == "deliver" or (operation == "effect" and (name, actor) not in handed):
            x1, y1, label = middle[BROKER], arrived.get(name, y - SLOPE), y + 16
            handed.add((name, actor))
        words = _words(event, several)
        marked = row == len(events) - 1
        yield Step(x1, y1, x2, y2, y, label, event["outcome"], time, words, marked)


def _answered(event: Event, later: Sequence[Event]) -> bool:
    """Whether a publish is only invoked here, and the picture has its outcome below."""
    same = event["headers"].get("message_id")
    return event["outcome"] == "invoke" and any(
        item["operation"] == "publish" and item["headers"].get("message_id") == same for item in later
    )


def _words(event: Event, several: bool) -> str:
    operation, outcome = event["operation"], event["outcome"]
    said = operation if outcome == "ok" and operation != "publish" else f"{operation} {outcome}"
    if event["attempt"] > 1:
        said += f", attempt {event['attempt']}"
    name = event["headers"].get("message_id")
    if name is None:
        return f"{said} {_start(event['error'])}".strip()
    domain = event["topic"].split(".")[2:3] if several else []
    return " ".join([said, f"…{name[-6:]}", *(f"on {_start(word)}" for word in domain)])


def _end(text: str) -> str:
    return text if len(text) <= NAME else f"…{text[1 - NAME :]}"


def _start(text: str) -> str:
    line = text.partition("\n")[0]
    return line if len(line) <= WORDS else f"{line[: WORDS - 1]}…"
