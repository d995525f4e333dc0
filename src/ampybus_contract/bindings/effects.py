"""Where a consumer remembers which effects it applied (D23)."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol


class EffectStore(Protocol):
    """Remembers names of applied effects, per consumer group, at least the newest of a declared number."""

    def seen(self, group: str, names: Sequence[str]) -> bool:
        """Whether an effect was applied under one of these names."""

    def mark(self, group: str, names: Sequence[str]) -> None:
        """Remember one effect under all its names, in one step."""

    def close(self) -> None:
        """Let go of files."""


class MemoryEffects:
    """Remembers for as long as the process lives."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.names: OrderedDict[tuple[str, str], None] = OrderedDict()

    def seen(self, group: str, names: Sequence[str]) -> bool:
        """Whether an effect was applied under one of these names."""
        return any((group, name) in self.names for name in names)

    def mark(self, group: str, names: Sequence[str]) -> None:
        """Remember one effect under all its names."""
        for name in names:
            self.names[group, name] = None
        while len(self.names) > self.limit:
            self.names.popitem(last=False)

    def close(self) -> None:
        """Nothing to let go of."""


class SqliteEffects:
    """Remembers in a file, so that the next process knows; a killed process loses nothing that was marked."""

    def __init__(self, path: Path, limit: int) -> None:
        self.limit = limit
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = NORMAL")
        self.connection.execute(
            "CREATE TABLE IF NOT EXISTS effects "
            "(number INTEGER PRIMARY KEY AUTOINCREMENT, consumer TEXT, name TEXT, UNIQUE (consumer, name))"
        )

    def seen(self, group: str, names: Sequence[str]) -> bool:
        """Whether an effect was applied under one of these names."""
        query = "SELECT 1 FROM effects WHERE consumer = ? AND name = ?"
        return any(self.connection.execute(query, (group, name)).fetchone() for name in names)

    def mark(self, group: str, names: Sequence[str]) -> None:
        """Remember one effect under all its names, in one transaction."""
        with self.connection:
            self.connection.execute("BEGIN")
            self.connection.executemany(
                "INSERT OR IGNORE INTO effects (consumer, name) VALUES (?, ?)",
                [(group, name) for name in names],
            )
            oldest = "SELECT max(number) - ? FROM effects"
            self.connection.execute(f"DELETE FROM effects WHERE number <= ({oldest})", (self.limit,))

    def close(self) -> None:
        """Close the file."""
        self.connection.close()
