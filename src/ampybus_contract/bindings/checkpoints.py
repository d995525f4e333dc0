"""Checkpoints: how far a consumer got, kept beside its effects and not with the broker (D27)."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ampybus_contract.bindings.consumer import ConsumerGroup
from ampybus_contract.bindings.protocol import Handler
from ampybus_contract.bindings.transport import Incoming

if TYPE_CHECKING:
    from ampybus_contract.bindings.reference import ReferenceBinding

EVERYTHING = ""


class Checkpoints:
    """The high watermark of each key of a group, and the position up to which all keys are settled.

    In a file where there is a path; a killed process loses nothing that was marked. Keys whose watermark
    the common position has reached are forgotten, so that the file does not grow with the number of keys.
    """

    def __init__(self, path: Path | None) -> None:
        self.connection = sqlite3.connect(path or ":memory:", isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = NORMAL")
        self.connection.execute(
            "CREATE TABLE IF NOT EXISTS checkpoints "
            "(consumer TEXT, key TEXT, position INTEGER, PRIMARY KEY (consumer, key))"
        )

    def of(self, group: str) -> dict[str, int]:
        """The watermarks of a group by key; under ``EVERYTHING`` that of all keys together."""
        query = "SELECT key, position FROM checkpoints WHERE consumer = ?"
        return dict(self.connection.execute(query, (group,)).fetchall())

    def mark(self, group: str, key: str, position: int, everything: int) -> None:
        """Remember that a key is settled up to a position, and all keys up to another, in one step."""
        with self.connection:
            self.connection.execute("BEGIN")
            self.connection.executemany(
                "INSERT OR REPLACE INTO checkpoints (consumer, key, position) VALUES (?, ?, ?)",
                [(group, key, position), (group, EVERYTHING, everything)],
            )
            self.connection.execute(
                "DELETE FROM checkpoints WHERE consumer = ? AND key != ? AND position <= ?",
                (group, EVERYTHING, everything),
            )

    def close(self) -> None:
        """Close the file."""
        self.connection.close()


class CheckpointGroup(ConsumerGroup):
    """Follows what is stored from its checkpoint on, and moves the checkpoint after each effect.

    The only reader of its checkpoint: what its keys have settled is not handed out again.
    """

    at_broker = False

    def __init__(self, binding: ReferenceBinding, name: str, handler: Handler, store: Checkpoints) -> None:
        super().__init__(binding, name, handler)
        self.store = store
        self.watermarks = store.of(name)
        self.everything = self.watermarks.get(EVERYTHING)
        self.open: dict[int, None] = {}
        self.newest = self.everything or 0

    async def unsettled(self, messages: AsyncIterator[Incoming]) -> AsyncIterator[Incoming]:
        """What comes, without what its key has settled; acknowledged by moving the checkpoint."""
        async for incoming in messages:
            assert isinstance(incoming.position, int)
            position, key = incoming.position, self.binding.lane(incoming.envelope)
            self.newest = position
            if position > self.watermarks.get(key, -1):
                self.open[position] = None
                yield replace(incoming, ack=partial(self.settled, key, position))

    async def settled(self, key: str, position: int) -> None:
        """Move the checkpoint."""
        self.open.pop(position, None)
        first = next(iter(self.open), self.newest + 1)
        self.store.mark(self.name, key, position, first - 1)
