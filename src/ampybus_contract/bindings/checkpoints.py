"""Checkpoints: how far a consumer got, kept beside its effects and not with the broker (D27)."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ampybus_contract.bindings.consumer import ConsumerGroup
from ampybus_contract.bindings.protocol import Handler
from ampybus_contract.bindings.state_files import FormatError, open_state
from ampybus_contract.bindings.transport import Incoming, Position
from ampybus_contract.errors import CheckpointError

if TYPE_CHECKING:
    from ampybus_contract.bindings.reference import ReferenceBinding

EVERYTHING = ""
FORMAT = 2


class Checkpoints:
    """The high watermark of each key of a group in each part of a stream, and that of all keys together.

    In a file where there is a path; a killed process loses nothing that was marked. Keys whose watermark
    the common one has reached are forgotten, so that the file does not grow with the number of keys. Raises
    CheckpointError where the file has another format: to begin at the start without a word would look like
    going on.
    """

    def __init__(self, path: Path | None) -> None:
        try:
            self.connection = open_state(
                path,
                FORMAT,
                "checkpoints "
                "(consumer TEXT, part TEXT, key TEXT, number INTEGER, PRIMARY KEY (consumer, part, key))",
            )
        except (sqlite3.DatabaseError, FormatError) as error:
            raise CheckpointError(
                f"CHECKPOINT expected checkpoints of format {FORMAT} in {path}, got {error}. Fix: move it "
                "away; all that is stored comes again then, what the effects remember without effect"
            ) from error

    def of(self, group: str) -> dict[str, dict[str, int]]:
        """The watermarks of a group by part and key; under ``EVERYTHING`` that of all keys of the part."""
        found: dict[str, dict[str, int]] = {}
        query = "SELECT part, key, number FROM checkpoints WHERE consumer = ?"
        for part, key, number in self.connection.execute(query, (group,)):
            found.setdefault(part, {})[key] = number
        return found

    def mark(self, group: str, key: str, position: Position, everything: int) -> None:
        """Remember that a key is settled up to a position, and its part up to a number, in one step.

        Raises CheckpointError where that cannot be written.
        """
        part = position.part
        try:
            with self.connection:
                self.connection.execute("BEGIN")
                self.connection.executemany(
                    "INSERT OR REPLACE INTO checkpoints (consumer, part, key, number) VALUES (?, ?, ?, ?)",
                    [(group, part, key, position.number), (group, part, EVERYTHING, everything)],
                )
                self.connection.execute(
                    "DELETE FROM checkpoints WHERE consumer = ? AND part = ? AND key != ? AND number <= ?",
                    (group, part, EVERYTHING, everything),
                )
        except sqlite3.Error as error:
            raise CheckpointError(
                f"CHECKPOINT expected to write how far {group} is, got {error}. Fix: see that the disk has "
                "room and that this process may write there"
            ) from error

    def forget(self, group: str, part: str) -> None:
        """Drop the watermarks of a part."""
        self.connection.execute("DELETE FROM checkpoints WHERE consumer = ? AND part = ?", (group, part))

    def close(self) -> None:
        """Close the file."""
        self.connection.close()


@dataclass(eq=False, slots=True)
class PartProgress:
    """How far one part is: watermarks of keys as they were found, the newest number, and what is open."""

    watermarks: dict[str, int]
    newest: int
    open: dict[int, None] = field(default_factory=dict)

    @property
    def everything(self) -> int:
        """The number up to which all keys are settled."""
        return next(iter(self.open), self.newest + 1) - 1


class CheckpointGroup(ConsumerGroup):
    """Follows what is stored from its checkpoint on, and moves the checkpoint after each effect.

    The only reader of its checkpoint: what its keys have settled is not handed out again.
    """

    at_broker = False

    def __init__(self, binding: ReferenceBinding, name: str, handler: Handler, store: Checkpoints) -> None:
        super().__init__(binding, name, handler)
        self.store = store
        self.parts = {
            part: PartProgress(watermarks, watermarks.pop(EVERYTHING))
            for part, watermarks in store.of(name).items()
        }
        self.after = {part: progress.newest for part, progress in self.parts.items()}

    async def settle(self, incoming: Incoming) -> None:
        """As of any group; the next message of its key comes only when its checkpoint has moved.

        So that no more than one message of each key comes again after a crash.
        """
        await super().settle(incoming)
        await self.drained()

    async def unsettled(self, messages: AsyncIterator[Incoming]) -> AsyncIterator[Incoming]:
        """What comes, without what its key has settled; acknowledged by moving the checkpoint."""
        async for incoming in messages:
            position, key = incoming.position, self.binding.lane(incoming.envelope)
            assert isinstance(position, Position)
            progress = self.progress(position)
            if position.number > progress.watermarks.get(key, -1):
                progress.open[position.number] = None
                yield replace(incoming, ack=partial(self.settled, key, position, progress))

    def progress(self, position: Position) -> PartProgress:
        """The state of a part, with a new record noted. A part that began anew has no checkpoint any more."""
        known = self.parts.get(position.part)
        if known is not None and position.number <= known.newest:
            self.store.forget(self.name, position.part)
            known = None
        if known is None:
            known = self.parts[position.part] = PartProgress({}, position.number)
        known.newest = position.number
        return known

    async def settled(self, key: str, position: Position, progress: PartProgress) -> None:
        """Move the checkpoint, unless the part began anew since."""
        progress.open.pop(position.number, None)
        if self.parts[position.part] is progress:
            self.store.mark(self.name, key, position, progress.everything)
