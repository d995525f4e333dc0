"""An asyncio event loop whose clock jumps to the next timer when nothing else is to do."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from ampybus_contract.errors import BindingCrashError

T = TypeVar("T")

RESTLESS = 300_000
"""Turns of the loop at one moment, after which something is taken to go in circles."""


class _Selector(selectors.DefaultSelector):
    """Instead of waiting for a timer, move the clock to it."""

    clock = 0.0
    turns = 0
    idle: Callable[[], bool] | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.turns = self.turns + 1 if timeout == 0 else 0
        if self.turns > RESTLESS:
            self.turns = 0
            raise BindingCrashError(
                f"BINDING expected to rest, it was busy for {RESTLESS} turns without any time passing. "
                "Fix: wait before trying again, and end what cannot succeed"
            )
        ready = super().select(0)
        if not ready and timeout != 0 and self.idle is not None and self.idle():
            return ready
        if not ready and timeout is None:
            raise RuntimeError("nothing can ever happen: every task waits and no timer is set")
        if not ready and timeout:
            self.clock += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Runs timers in their order without waiting; the same program gives the same history."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        """Seconds of virtual time since the loop was made."""
        return self._virtual.clock

    def rule(self, idle: Callable[[], bool] | None) -> None:
        """Ask this when nothing is left to run: True where it made something run, else time passes."""
        self._virtual.idle = idle


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
