"""Where a consumer remembers which effects it applied (D23)."""

from __future__ import annotations

import asyncio
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

    async def remember(self, group: str, names: Sequence[str]) -> None:
        """As ``mark``, perhaps together with others; what is remembered stays so once this returns."""

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

    async def remember(self, group: str, names: Sequence[str]) -> None:
        """As ``mark``."""
        self.mark(group, names)

    def close(self) -> None:
        """Nothing to let go of."""


class SqliteEffects:
    """Remembers in a file, so that the next process knows; a killed process loses nothing that was marked.

    Effects of lanes that end within one turn of the event loop are written in one transaction.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self.limit = limit
        self.waiting: dict[tuple[str, str], None] = {}
        self.written: asyncio.Future[None] | None = None
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
        self._write([(group, name) for name in names])

    async def remember(self, group: str, names: Sequence[str]) -> None:
        """Remember one effect; returns once the transaction that holds all its names is written."""
        for name in names:
            self.waiting[group, name] = None
        if self.written is None:
            loop = asyncio.get_running_loop()
            self.written = loop.create_future()
            self.written.add_done_callback(_retrieved)
            loop.call_soon(self._flush)
        await asyncio.shield(self.written)

    def _flush(self) -> None:
        """Write what waits, and tell all who wait for it; a failure is told to each of them."""
        written, self.written = self.written, None
        names, self.waiting = list(self.waiting), {}
        try:
            if names:
                self._write(names)
        except sqlite3.Error as error:
            if written is not None:
                written.set_exception(error)
        else:
            if written is not None:
                written.set_result(None)

    def _write(self, names: Sequence[tuple[str, str]]) -> None:
        with self.connection:
            self.connection.execute("BEGIN")
            self.connection.executemany("INSERT OR IGNORE INTO effects (consumer, name) VALUES (?, ?)", names)
            oldest = "SELECT max(number) - ? FROM effects"
            self.connection.execute(f"DELETE FROM effects WHERE number <= ({oldest})", (self.limit,))

    def close(self) -> None:
        """Write what waits, and close the file."""
        self._flush()
        self.connection.close()


def _retrieved(written: asyncio.Future[None]) -> None:
    """A failure that nobody waits for any more is no news: its messages come again."""
    if not written.cancelled():
        written.exception()
