"""Where a bus is."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The bus's URL, the stream made for this run, and the broker itself where it is in process.

    ``state`` is a directory of the run in which a binding may keep what has to survive a crash. ``inbox`` is
    the first token of the subjects on which a NATS client gets answers.
    """

    url: str
    stream: str
    native: Any = field(default=None, repr=False)
    state: Path | None = None
    inbox: str = "_INBOX"
