"""How far a long run is, on standard error."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

WIDTH = 30
SECONDS_BETWEEN = 0.2


@dataclass(slots=True)
class Progress:
    """A bar over ``total`` bytes, or only a count where the total is not known (0)."""

    shown: bool
    total: int
    judged: int = 0
    started: float = field(default_factory=time.perf_counter)
    last_drawn: float = 0.0

    def advance(self, judged: int, done: int) -> None:
        """Count envelopes; draw at most a few times a second."""
        self.judged += judged
        now = time.perf_counter()
        if self.shown and now - self.last_drawn >= SECONDS_BETWEEN:
            self.last_drawn = now
            part = min(1.0, done / self.total) if self.total else 0.0
            bar = "#" * round(part * WIDTH)
            share = f"[{bar:{WIDTH}}] {part:4.0%} " if self.total else ""
            sys.stderr.write(f"\r{share}{self.judged:,} envelopes, {self.rate():,.0f}/s")
            sys.stderr.flush()

    def rate(self) -> float:
        """Envelopes judged per second so far."""
        return self.judged / max(time.perf_counter() - self.started, 1e-9)

    def close(self) -> None:
        """Replace the bar by one line with the rate."""
        if self.shown:
            sys.stderr.write(f"\r\033[K{self.judged:,} envelopes, {self.rate():,.0f} a second\n")


def bytes_of(names: list[str]) -> int:
    """The size of all named files in bytes, or 0 where one of them is no plain file."""
    paths = [Path(name) for name in names]
    return sum(path.stat().st_size for path in paths) if all(path.is_file() for path in paths) else 0
