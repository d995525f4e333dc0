"""The plots of what was measured: a distribution as bars, and the values over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ampybus_contract.harness.measurements import MESSAGES, NANOSECONDS, PERCENTILES

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 340, 136, 58, 8, 20, 26
SCALES = ((10**9, "s"), (10**6, "ms"), (10**3, "µs"), (1, "ns"))
LABELS = 3


@dataclass(frozen=True, slots=True)
class Mark:
    """One bar, or one point with no size, in pixels; ``words`` say what it stands for."""

    x: float
    y: float
    width: float
    height: float
    words: str


@dataclass(frozen=True, slots=True)
class Plot:
    """Marks, the path of the line through them if there is one, and the labels of both axes, placed."""

    title: str
    marks: tuple[Mark, ...]
    path: str
    across: tuple[tuple[float, str], ...]
    upwards: tuple[tuple[float, str], ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    floor: int = HEIGHT - BOTTOM


def amount(value: int, unit: str) -> str:
    """A figure in words: nanoseconds in the unit that suits them, messages as a count."""
    if unit != NANOSECONDS:
        return str(value)
    scale, name = next(((size, word) for size, word in SCALES if abs(value) >= size), (1, "ns"))
    return f"{value / scale:.3g} {name}" if value else "0 s"


def figures(series: Mapping[str, Any]) -> str:
    """What a series comes to in words: percentiles of a latency, the most of a count."""
    names = PERCENTILES if series["unit"] == NANOSECONDS else ("most",)
    return ", ".join(f"{name} {amount(series[name], series['unit'])}" for name in names)


def plots(series: Mapping[str, Any]) -> list[Plot]:
    """The plots that show something: none for a single value, or values that are all the same at one time."""
    name, unit, points = series["name"], series["unit"], series["points"]
    found: list[Plot] = []
    if unit == NANOSECONDS and len(series["bins"]) > 1:
        found.append(_distribution(name, unit, series["bins"]))
    if len({at for at, _ in points}) > 1 and any(value for _, value in points):
        found.append(_over_time(name, unit, points))
    return found


def _distribution(name: str, unit: str, bins: Sequence[Sequence[int]]) -> Plot:
    most = max(count for _, count in bins)
    step = (WIDTH - LEFT - RIGHT) / len(bins)
    labelled = range(len(bins)) if len(bins) <= LABELS else (0, len(bins) // 2, len(bins) - 1)
    marks, across = [], []
    for place, (edge, count) in enumerate(bins):
        tall = (HEIGHT - TOP - BOTTOM) * count / most
        x = LEFT + step * place
        words = f"{count} at most {amount(edge, unit)}"
        if place:
            words += f" and above {amount(bins[place - 1][0], unit)}"
        marks.append(Mark(x + 1, HEIGHT - BOTTOM - tall, max(step - 2, 1), tall, words))
        if place in labelled:
            across.append((x + step / 2, f"≤ {amount(edge, unit)}"))
    return Plot(f"{name}, how many messages", tuple(marks), "", tuple(across), _upwards(most, MESSAGES))


def _over_time(name: str, unit: str, points: Sequence[Sequence[int]]) -> Plot:
    most = max(value for _, value in points)
    first, last = points[0][0], points[-1][0]
    marks = []
    for at, value in points:
        x = LEFT + (WIDTH - LEFT - RIGHT) * (at - first) / (last - first)
        y = HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / most
        marks.append(Mark(x, y, 0, 0, f"{amount(value, unit)} at {amount(at, NANOSECONDS)}"))
    path = "" if unit == NANOSECONDS else _stairs(marks)
    middle = first + (last - first) // 2
    across = tuple(
        (LEFT + (WIDTH - LEFT - RIGHT) * share, amount(at, NANOSECONDS))
        for share, at in ((0, first), (0.5, middle), (1, last))
    )
    return Plot(f"{name} over time", tuple(marks), path, across, _upwards(most, unit))


def _stairs(marks: Sequence[Mark]) -> str:
    """A count stays as it is until the next."""
    return f"M {marks[0].x:.1f} {marks[0].y:.1f}" + "".join(
        f" H {mark.x:.1f} V {mark.y:.1f}" for mark in marks[1:]
    )


def _upwards(most: int, unit: str) -> tuple[tuple[float, str], ...]:
    return ((float(HEIGHT - BOTTOM), amount(0, unit)), (float(TOP), amount(most, unit)))
