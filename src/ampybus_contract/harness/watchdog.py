"""Notices a binding that blocks the event loop of the run, and ends what it does."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

BLOCKED_SECONDS = 15.0

T = TypeVar("T")


class BlockedLoop(SystemExit):
    """Raised in what blocks the loop; like SystemExit, it passes through ``except Exception``."""


class Watchdog:
    """Looks, every ``seconds`` of real time, whether the loop has turned since.

    A loop that turns has timeouts, and virtual time bounds its turns; what does not turn is inside one call.
    """

    def __init__(self, seconds: float = BLOCKED_SECONDS) -> None:
        self.seconds = seconds
        self.loop: asyncio.AbstractEventLoop | None = None
        self.turned = True

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch while the block runs; outside of the main thread, or without such timers, watch nothing.

        Raises BlockedLoop in what blocks.
        """
        here = threading.current_thread() is threading.main_thread()
        if not here or not hasattr(signal, "setitimer"):
            yield
            return
        before = signal.signal(signal.SIGALRM, self._look)
        signal.setitimer(signal.ITIMER_REAL, self.seconds, self.seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    async def over(self, work: Awaitable[T]) -> T:
        """Do the work on the loop that is watched."""
        self.loop = asyncio.get_running_loop()
        try:
            return await work
        finally:
            self.loop = None

    def _look(self, _number: int, _frame: FrameType | None) -> None:
        if self.loop is None:
            return
        if not self.turned:
            raise BlockedLoop(f"the event loop was blocked for {self.seconds:g} s")
        self.turned = False
        self.loop.call_soon_threadsafe(self._turn)

    def _turn(self) -> None:
        self.turned = True
