"""How fast messages come, once they come."""

from __future__ import annotations

import time


class Pace:
    """Counts messages that a consumer gets, and takes the time from the first to the last of them.

    What a client does before, such as joining a group, is not counted, nor is what came with the first. Where
    all came with the first, it is the time since this was made.
    """

    def __init__(self, count: int) -> None:
        self.left = self.count = count
        self.counted = 0
        self.made = time.perf_counter()
        self.begun = 0.0
        self.ended = 0.0

    def came(self, messages: int = 1) -> bool:
        """Note that so many came at once; True where they are the last."""
        self.left -= messages
        if self.left > 0 and self.begun:
            return False
        if not self.begun:
            self.begun = time.perf_counter()
            self.counted = self.left
        if self.left > 0:
            return False
        self.ended = time.perf_counter()
        return True

    @property
    def rate(self) -> float:
        """Messages a second."""
        if self.counted <= 0:
            return self.count / (self.ended - self.made)
        return self.counted / (self.ended - self.begun)
