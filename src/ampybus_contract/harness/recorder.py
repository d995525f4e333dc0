"""A history while it is made: its clock, its events, and those who wait for them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ampybus_contract.envelope import Envelope, Headers
from ampybus_contract.harness.history import UNKNOWN, Event, Operation, Outcome

QUIET_SECONDS = 0.3
BROKER_SECONDS = 3.0
SHOWN = 300
NOTHING = Envelope("", Headers({}), b"")

T = TypeVar("T")


class Recorder:
    """Records events, and waits for ``patience`` seconds until something is among them."""

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self.history: list[Event] = []
        self.effects: dict[str, set[str]] = defaultdict(set)
        self.refused: set[str] = set()
        self.accepted: set[str] = set()
        self._changed = asyncio.Event()
        self._began = asyncio.get_running_loop().time()

    def elapsed(self) -> int:
        """Nanoseconds since the stage was set, as events have it."""
        return int((asyncio.get_running_loop().time() - self._began) * 1e9)

    def fault(self, what: str, milliseconds: int = 0) -> None:
        """Note in the history what was done to the broker or a consumer, and for how long."""
        self._record("broker", Operation.FAULT, Outcome.OK, NOTHING, error=what, count=milliseconds)

    def unfinished(self, envelope: Envelope, why: str, group: str = "consumer") -> None:
        """Note that a group's handler does not finish a delivery, and why."""
        self._record(group, Operation.UNFINISHED, Outcome.INFO, envelope, error=why)

    def show(self, what: str, text: str) -> None:
        """Record a text that anybody may get to see."""
        self._record(
            "binding", Operation.SHOW, Outcome.OK, NOTHING, error=f"{what}: {text[:SHOWN]}", said=text
        )

    async def happens(self, event: asyncio.Event) -> bool:
        """Wait ``patience`` seconds for an event."""
        try:
            async with asyncio.timeout(self.patience):
                await event.wait()
        except TimeoutError:
            return False
        return True

    async def quiet(self) -> None:
        """Give what must not happen ``QUIET_SECONDS`` to happen."""
        await asyncio.sleep(QUIET_SECONDS)

    async def rests(self) -> None:
        """Wait until nothing happened for ``QUIET_SECONDS``."""
        while True:
            length = len(self.history)
            await self.quiet()
            if len(self.history) == length:
                return

    def _has_applied(self, group: str, missing: set[str]) -> bool:
        """Whether a group applied all of these ids; those that it did are taken out."""
        applied = self.effects[group]
        while missing:
            name = missing.pop()
            if name not in applied:
                missing.add(name)
                return False
        return True

    async def _becomes(self, ask: Callable[[], Awaitable[T]], wanted: Callable[[T], bool]) -> bool:
        deadline = asyncio.get_running_loop().time() + max(self.patience, BROKER_SECONDS)
        while asyncio.get_running_loop().time() < deadline:
            if wanted(await ask()):
                return True
            await asyncio.sleep(0.02)
        return False

    async def _until(self, done: Callable[[], bool], seconds: float = 0) -> bool:
        while not done():
            self._changed.clear()
            try:
                async with asyncio.timeout(max(self.patience, seconds)):
                    await self._changed.wait()
            except TimeoutError:
                return False
        return True

    def _record(
        self,
        actor: str,
        operation: Operation,
        outcome: Outcome,
        envelope: Envelope,
        attempt: int = 1,
        pattern: str = "",
        error: str = "",
        count: int = 0,
        said: str = "",
        due: int = UNKNOWN,
    ) -> None:
        at = self.elapsed()
        event = Event(at, actor, operation, outcome, envelope, attempt, pattern, error, count, said, due=due)
        self.history.append(event)
        if operation is Operation.EFFECT:
            self.effects[actor].add(event.id)
        elif operation is Operation.PUBLISH and outcome is Outcome.FAIL:
            self.refused.add(event.id)
        elif operation is Operation.PUBLISH and outcome is Outcome.OK:
            self.accepted.add(event.id)
        self._changed.set()
