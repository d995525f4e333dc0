"""Who runs next: actors wait for their turn, and a schedule chooses when nothing else can run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence


class Turns:
    """Actors that could go on. Time passes only when there is none."""

    def __init__(self, choices: Sequence[int] = ()) -> None:
        self.choices = tuple(choices) or (0,)
        self.taken = 0
        self.waiting: list[asyncio.Future[None]] = []
        self.open = True

    async def turn(self) -> None:
        """Wait to be chosen; at once after the end."""
        if not self.open:
            return
        mine = asyncio.get_running_loop().create_future()
        self.waiting.append(mine)
        await mine

    def next(self) -> bool:
        """Let one go on; False where nobody waits."""
        while self.waiting:
            choice = self.choices[self.taken % len(self.choices)]
            self.taken += 1
            chosen = self.waiting.pop(choice % len(self.waiting))
            if not chosen.done():
                chosen.set_result(None)
                return True
        return False

    def close(self) -> None:
        """Let all go on: nobody chooses any more."""
        self.open = False
        while self.next():
            pass
