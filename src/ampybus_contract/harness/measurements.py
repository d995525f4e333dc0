"""What a history measures: how long messages took from publish to effect, and how much was behind.

Plain data, so that it crosses process borders and goes into the report as it is.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from typing import Any

from ampybus_contract.harness.history import UNKNOWN, Event, Operation, Outcome

LATENCY = "latency"
TRANSIT = "in transit"
NANOSECONDS, MESSAGES = "ns", "messages"
FIGURES = {Operation.LAG: "lag", Operation.BACKLOG: "backlog", Operation.HELD: "in flight"}
PERCENTILES = {"p50": 50, "p90": 90, "p99": 99, "most": 100}
POINTS = 100
STEPS = (1, 2, 3, 5, 7)

Point = tuple[int, int]


def measurements(history: Sequence[Event]) -> tuple[Mapping[str, Any], ...]:
    """Each series that a history has: latency, messages in transit, and what was counted in it.

    A latency is of one message: from its first publish, or when that was due by plan, to its first effect, in
    nanoseconds of the history's clock, noted at the effect. ``lag`` is what the binding reported, ``backlog``
    and ``in flight`` what the broker did. The figures are over all values; the points are at most ``POINTS``,
    the highest of each part.
    """
    taken = list(_latencies(history))
    found = [(LATENCY, NANOSECONDS, taken)]
    if taken:
        found.append((TRANSIT, MESSAGES, _in_transit(taken)))
    for operation, name in FIGURES.items():
        counted = [(item.at, item.count) for item in history if item.operation is operation]
        found.append((name, MESSAGES, counted))
    return tuple(_series(name, unit, points) for name, unit, points in found if points)


def percentile(ordered: Sequence[int], share: float) -> int:
    """The smallest value that so many per cent do not exceed (nearest rank); ``ordered`` is not empty."""
    return ordered[max(ceil(share * len(ordered) / 100), 1) - 1]


def _latencies(history: Sequence[Event]) -> Iterator[Point]:
    begun: dict[str, int] = {}
    for item in history:
        if not item.id:
            continue
        if item.operation is Operation.PUBLISH and item.outcome is Outcome.INVOKE:
            begun.setdefault(item.id, item.at if item.due == UNKNOWN else item.due)
        elif item.operation is Operation.EFFECT and begun.get(item.id, -1) >= 0:
            yield item.at, item.at - begun[item.id]
            begun[item.id] = -1


def _in_transit(latencies: Sequence[Point]) -> list[Point]:
    """How many of the messages that took effect were published and had not yet, after each change."""
    changes: dict[int, int] = {}
    for at, took in latencies:
        changes[at - took] = changes.get(at - took, 0) + 1
        changes[at] = changes.get(at, 0) - 1
    points: list[Point] = []
    for at in sorted(changes):
        points.append((at, changes[at] + (points[-1][1] if points else 0)))
    return points


def _series(name: str, unit: str, points: Sequence[Point]) -> Mapping[str, Any]:
    ordered = sorted(value for _, value in points)
    return {
        "name": name,
        "unit": unit,
        "count": len(points),
        **{word: percentile(ordered, share) for word, share in PERCENTILES.items()},
        "bins": [list(item) for item in _bins(ordered)],
        "points": [list(item) for item in _thinned(points)],
    }


def _thinned(points: Sequence[Point]) -> Iterator[Point]:
    """Of each part of the points, in their order, the highest."""
    size = ceil(len(points) / POINTS)
    for start in range(0, len(points), size):
        yield max(points[start : start + size], key=lambda point: point[1])


def _bins(ordered: Sequence[int]) -> Iterator[Point]:
    """How many values lie at or below each of 0, 1, 2, 3, 5, 7, 10, 20 … and above the one before."""
    below = 0
    for edge in _edges(ordered[0], ordered[-1]):
        place = bisect_right(ordered, edge)
        yield edge, place - below
        below = place


def _edges(least: int, most: int) -> Iterator[int]:
    """From the last edge that is not below ``least`` to the first that is not below ``most``."""
    if least <= 0:
        yield 0
    power = 1
    while most > 0:
        for step in STEPS:
            edge = step * power
            if edge >= max(least, 1):
                yield edge
            if edge >= most:
                return
        power *= 10
