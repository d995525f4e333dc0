"""Where a consumer remembers which effects it applied (D23)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from ampybus_contract.bindings.state_files import FormatError, open_state
from ampybus_contract.errors import EffectError

FORMAT = 2
PENDING = -1


class EffectStore(Protocol):
    """Remembers names of applied effects, at least the newest of a declared number.

    Names are of one group each, as ``effect_names`` makes them. What is applied is seen at once, and outlives
    this process once ``keep`` returns.
    """

    def seen(self, names: Sequence[str]) -> bool:
        """Whether an effect was applied under one of these names. Raises EffectError."""

    def apply(self, names: Sequence[str]) -> None:
        """Note one effect under all its names."""

    def keep(self) -> None:
        """Make all that was applied last, in one step. Raises EffectError: then nothing of it lasts yet."""

    def close(self) -> None:
        """Let go of files."""


def effect_names(group: str, identities: Sequence[str]) -> list[str]:
    """The names of one effect: those of a message in a group, which has no line feed in its name."""
    return [f"{group}\n{identity}" for identity in identities]


class MemoryEffects:
    """Remembers for as long as the process lives.

    Each name has the number of the newest step it is in. Numbers and tuples of text are nothing that the
    garbage collector looks through again and again.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.step: list[str] = []
        self.steps: deque[tuple[str, ...]] = deque()
        self.first = 0
        self.names: dict[str, int] = {}
        self.count = 0

    def seen(self, names: Sequence[str]) -> bool:
        """Whether an effect was applied under one of these names."""
        return not self.names.keys().isdisjoint(names)

    def apply(self, names: Sequence[str]) -> None:
        """Note one effect under all its names."""
        self.step += names
        for name in names:
            self.names[name] = PENDING

    def keep(self) -> None:
        """End the step, and forget the oldest ones that are more than the limit."""
        step, self.step = self.step, []
        self._remember(step)

    def close(self) -> None:
        """Nothing to let go of."""

    def _outdated(self, more: int) -> int:
        """How many of the oldest steps nobody needs once so many more names are remembered."""
        left, outdated = self.count + more, 0
        for step in self.steps:
            left -= len(step)
            if left < self.limit:
                break
            outdated += 1
        return outdated

    def _remember(self, step: Sequence[str]) -> None:
        """Take a whole step, which is the newest, and forget the oldest for it."""
        for _ in range(self._outdated(len(step))):
            self._forget()
        self.names.update(dict.fromkeys(step, self.first + len(self.steps)))
        self.steps.append(tuple(step))
        self.count += len(step)

    def _forget(self) -> None:
        oldest = self.steps.popleft()
        self.count -= len(oldest)
        for name in oldest:
            if self.names.get(name) == self.first:
                del self.names[name]
        self.first += 1


class SqliteEffects(MemoryEffects):
    """Remembers in a file, so that the next process knows; a killed process loses nothing that was kept.

    The file is a log with a row for each step, which is all that was applied between two calls of ``keep``.
    Other processes may write it too: it is read on once in a turn of the event loop where it changed. Raises
    EffectError where it has another format, as to forget without a word would be to apply twice.
    """

    def __init__(self, path: Path, limit: int) -> None:
        super().__init__(limit)
        self.path = path
        self.numbers: deque[int] = deque()
        self.version = -1
        self.looked = False
        try:
            self.connection = open_state(
                path, FORMAT, "steps (number INTEGER PRIMARY KEY AUTOINCREMENT, names TEXT NOT NULL)"
            )
        except (FormatError, sqlite3.Error) as error:
            raise self._wrong(f"effects of format {FORMAT}", error) from error
        self._look()

    def seen(self, names: Sequence[str]) -> bool:
        """Whether an effect was applied under one of these names, by any process."""
        if not self.looked:
            self._look()
        return not self.names.keys().isdisjoint(names)

    def keep(self) -> None:
        """Write all that was applied as one row, in one transaction."""
        if not self.step:
            return
        try:
            with self.connection:
                self.connection.execute("BEGIN IMMEDIATE")
                self._read_on()
                row = "INSERT INTO steps (names) VALUES (?)"
                number = self.connection.execute(row, (json.dumps(self.step),)).lastrowid or 0
                outdated = self._outdated(len(self.step))
                if outdated:
                    last = self.numbers[outdated - 1]
                    self.connection.execute("DELETE FROM steps WHERE number <= ?", (last,))
        except (sqlite3.Error, ValueError) as error:
            raise self._wrong("to write effects", error) from error
        super().keep()
        self.numbers.append(number)

    def close(self) -> None:
        """Keep what was applied, as far as it can be, and close the file."""
        with contextlib.suppress(EffectError):
            self.keep()
        self.connection.close()

    def _look(self) -> None:
        """Read what other processes wrote, and not again before the next turn of the event loop."""
        try:
            (version,) = self.connection.execute("PRAGMA data_version").fetchone()
            if version != self.version:
                self._read_on()
                self.version = version
        except (sqlite3.Error, ValueError) as error:
            raise self._wrong("to read effects", error) from error
        try:
            asyncio.get_running_loop().call_soon(self._look_again)
        except RuntimeError:
            return
        self.looked = True

    def _look_again(self) -> None:
        self.looked = False

    def _read_on(self) -> None:
        newest = self.numbers[-1] if self.numbers else 0
        rows = "SELECT number, names FROM steps WHERE number > ? ORDER BY number"
        for number, names in self.connection.execute(rows, (newest,)).fetchall():
            self._remember(json.loads(names))
            self.numbers.append(number)

    def _forget(self) -> None:
        super()._forget()
        self.numbers.popleft()

    def _wrong(self, expected: str, error: Exception) -> EffectError:
        return EffectError(
            f"EFFECTS expected {expected} in {self.path}, got {error}. Fix: see that the disk has room and "
            "that this process may write there; move a file of another format away, and what is stored "
            "unsettled may take effect once more"
        )
