"""How many messages a group may have in hand (contract section 8, D28)."""

from __future__ import annotations

import asyncio


class Room:
    """Places that are taken without a word, and waited for where there are none. One may wait."""

    def __init__(self, places: int) -> None:
        self.free = places
        self.waiter: asyncio.Future[None] | None = None

    def take(self) -> None:
        """Take a place, also one that there is not."""
        self.free -= 1

    def release(self, places: int = 1) -> None:
        """Give places back."""
        self.free += places
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    async def wait(self) -> None:
        """Return once there is a place."""
        while self.free <= 0:
            self.waiter = asyncio.get_running_loop().create_future()
            await self.waiter
