"""How much of what the contract lists a scenario plays."""

from __future__ import annotations

from enum import StrEnum


class Breadth(StrEnum):
    """``few``: each rule once; ``each``: in each domain; ``every``: in each way and each environment."""

    FEW = "few"
    EACH = "each"
    EVERY = "every"
