"""Interleaved timing: every contender runs in every round, so that a busy moment hits all alike."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

Contender = tuple[Callable[..., object], Sequence[tuple[Any, ...]]]


def medians_us(contenders: Mapping[str, Contender], rounds: int) -> dict[str, float]:
    """Median microseconds per call; a contender is a function and the arguments of its calls in a round.

    A round makes its calls twice and measures the second time: a service judges a message that it has just
    received, which no collection of garbage has driven out of the processor's cache.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, (call, calls) in contenders.items():
            gc.collect()
            gc.disable()
            for arguments in calls:
                call(*arguments)
            start = time.perf_counter()
            for arguments in calls:
                call(*arguments)
            seconds[name].append((time.perf_counter() - start) / len(calls))
            gc.enable()
    return {name: median(found) * 1e6 for name, found in seconds.items()}
