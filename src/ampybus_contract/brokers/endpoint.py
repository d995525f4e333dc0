"""Where a bus is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The bus's URL, the stream made for this run, and the broker itself where it is in process."""

    url: str
    stream: str
    native: Any = field(default=None, repr=False)
