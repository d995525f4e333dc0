"""What a pattern costs on hostile texts as they grow: in proportion, or much more."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Sequence

from ampybus_contract.contract import default_contract

EXPLOSIVE = "(a+)+$"
LENGTHS = (2_000, 16_000)
SHORT_LENGTHS = (12, 18)
ROUNDS = 5


def costs(rounds: int = ROUNDS) -> None:
    """Print the microseconds of each detector of personal data on two lengths, and of one that explodes."""
    print(f"{'pattern':24}{'short us':>12}{'long us':>12}{'lengths':>16}")
    for detector in default_contract().privacy.detectors:
        _line(detector.name, detector.pattern, LENGTHS, rounds)
    _line(EXPLOSIVE, re.compile(EXPLOSIVE), SHORT_LENGTHS, rounds)


def _line(name: str, pattern: re.Pattern[str], lengths: Sequence[int], rounds: int) -> None:
    short, long = (min(_seconds(pattern, length) for _ in range(rounds)) for length in lengths)
    print(f"{name:24}{short * 1e6:12.0f}{long * 1e6:12.0f}{f'{lengths[0]}, {lengths[1]}':>16}")


def _seconds(pattern: re.Pattern[str], length: int) -> float:
    chance = random.Random(3)
    texts = [letter * length + "!" for letter in "a1A-+(.@ "]
    texts.append("".join(chance.choice("aA1 -.@+") for _ in range(length)))
    start = time.perf_counter()
    for text in texts:
        pattern.search(text)
    return time.perf_counter() - start
