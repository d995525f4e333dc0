"""What a producer does when it is told to slow down (contract section 8, D28)."""

from __future__ import annotations

import asyncio

from ampybus_contract.contract import Contract
from ampybus_contract.errors import PublishError

HOLD_SECONDS = 30.0


class Throttle:
    """Holds back publishes of the domains with the lowest priorities; the highest is never held back.

    Nothing is dropped: a publish waits until it is let go, and fails with a definite error, so that the
    producer keeps the record, where that takes longer than ``HOLD_SECONDS`` or the binding stops. While it is
    ``calm``, nothing is held back, and nobody needs to ask.
    """

    def __init__(self, contract: Contract) -> None:
        self.priorities = {name: rule.priority for name, rule in contract.domains.items()}
        self.levels = sorted(set(self.priorities.values()))
        self.floor = self.levels[0]
        self.closed = False
        self.calm = True
        self.changed = asyncio.Event()

    def slow(self, levels: int) -> None:
        """Hold back the domains of so many of the lowest priorities from now on; 0 lets all go."""
        self.floor = self.levels[max(0, min(levels, len(self.levels) - 1))]
        self._tell()

    def close(self) -> None:
        """Let nothing wait any more."""
        self.closed = True
        self._tell()

    async def admit(self, domain: str) -> None:
        """Wait until a record of a declared domain may be sent. Raises PublishError, definite."""
        if not self.closed and self.priorities[domain] >= self.floor:
            return
        try:
            async with asyncio.timeout(HOLD_SECONDS):
                while self.priorities[domain] < self.floor and not self.closed:
                    await self.changed.wait()
        except TimeoutError as error:
            raise _held(f"none within {HOLD_SECONDS} s", domain) from error
        if self.closed:
            raise _held("a binding that stopped", domain)

    def _tell(self) -> None:
        self.calm = not self.closed and self.floor == self.levels[0]
        told, self.changed = self.changed, asyncio.Event()
        told.set()


def _held(got: str, domain: str) -> PublishError:
    return PublishError(
        f"PUBLISH expected room for {domain}, which is held back, got {got}. Fix: publish it again later",
        definite=True,
    )
