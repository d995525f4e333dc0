"""One at a time for each name, at little cost where nobody else wants the same one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable


class Turns:
    """Who has the turn of which name, and who waits for it in which order."""

    def __init__(self) -> None:
        self.taken: dict[Hashable, deque[asyncio.Future[None]]] = {}

    def take(self, name: Hashable) -> bool:
        """Take a turn that nobody has; False where it is to be waited for."""
        if name in self.taken:
            return False
        self.taken[name] = _NOBODY
        return True

    async def wait(self, name: Hashable) -> None:
        """Wait until the turn comes."""
        if self.take(name):
            return
        waiting = self.taken[name]
        if waiting is _NOBODY:
            waiting = self.taken[name] = deque()
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(name)
            raise

    def give(self, name: Hashable) -> None:
        """Hand the turn to who waits longest."""
        waiting = self.taken[name]
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self.taken[name]


_NOBODY: deque[asyncio.Future[None]] = deque(maxlen=0)
