"""A binding in another process and any language: JSON lines over its standard input and output."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from ampybus_contract.bindings.process_child import Surroundings
from ampybus_contract.bindings.process_lines import endpoint_to, envelope_to
from ampybus_contract.bindings.process_link import ANSWER_SECONDS, ProcessLink
from ampybus_contract.bindings.protocol import Endpoint, Handler, Subscription
from ampybus_contract.envelope import Envelope
from ampybus_contract.errors import AdapterError

ALWAYS = frozenset({"kill"})
"""What every binding in a process can be: whoever judges it can end its process at any moment."""


class ProcessBinding:
    """Speaks to one adapter process, which lives from ``start`` to ``stop``.

    Whatever breaks the protocol is remembered, and raised as AdapterError by the next call, ``stop`` at the
    latest. ``capabilities`` are those of its first hello, and ``ALWAYS``; None takes what the first hello
    says. An answer must come within ``answer_seconds``; where ``patient``, it may come later while the
    adapter still answers others.
    """

    def __init__(
        self,
        command: Sequence[str],
        capabilities: frozenset[str] | None = None,
        answer_seconds: float = ANSWER_SECONDS,
        surroundings: Surroundings | None = None,
        patient: bool = False,
    ) -> None:
        around = surroundings or Surroundings()
        self.link = ProcessLink(command, capabilities, answer_seconds, around, patient)

    @property
    def capabilities(self) -> frozenset[str]:
        """What the adapter claims, and what its process adds."""
        return (self.link.claimed or frozenset()) | ALWAYS

    async def start(self, endpoint: Endpoint) -> None:
        """Start the process, greet it, and have it connect."""
        try:
            await self.link.open()
            await self.link.ask("start", endpoint=endpoint_to(endpoint))
        except BaseException:
            await self.link.end()
            raise

    async def publish(self, envelope: Envelope) -> None:
        """Store an envelope."""
        await self.link.ask("publish", envelope=envelope_to(envelope))

    async def subscribe(self, subscription: Subscription, handler: Handler) -> None:
        """Have deliveries handed to the handler."""
        await self._subscribed("subscribe", subscription, handler)

    async def take_replays(self, subscription: Subscription, handler: Handler) -> None:
        """Have replays handed to the handler."""
        await self._subscribed("take_replays", subscription, handler)

    async def resume(self, subscription: Subscription, handler: Handler) -> None:
        """Go on from the checkpoint."""
        await self._subscribed("resume", subscription, handler)

    async def redrive(self, pattern: str, limit: int) -> int:
        """Publish dead letters again."""
        return int((await self.link.ask("redrive", pattern=pattern, limit=limit)).get("count", 0))

    async def lag(self, group: str) -> int:
        """What a group has not settled."""
        return int((await self.link.ask("lag", group=group)).get("count", 0))

    async def capture(self, pattern: str, session: Path) -> None:
        """Write a session file."""
        await self.link.ask("capture", pattern=pattern, path=str(session))

    async def audit(self, session: Path) -> Sequence[tuple[str, int]]:
        """What is wrong with a session file."""
        found = (await self.link.ask("audit", path=str(session))).get("damages", [])
        return [(str(item["damage"]), int(item["number"])) for item in found]

    async def slow_down(self, levels: int) -> None:
        """Hold back the lowest priorities."""
        await self.link.ask("slow_down", levels=levels)

    async def crash(self) -> None:
        """Have the adapter end itself after the next effect; the end is the answer.

        Raises AdapterError where it goes on living.
        """
        self.link.doom()
        try:
            await self.link.ask("crash")
        except AdapterError:
            if not self.link.ended:
                raise
        await self.link.kill()

    async def kill(self) -> None:
        """Kill the process by a signal that it cannot see coming.

        What the handler has answered before has arrived in the process; what it has not answered, never does.
        """
        await self.link.hold()
        await self.link.kill()

    async def stop(self) -> None:
        """Have it disconnect, and end the process. Raises what it did wrong, if anything."""
        try:
            if self.link.fault is None:
                await self.link.hello()
                await self.link.ask("stop")
        finally:
            await self.link.end()
        self.link.well()

    async def _subscribed(self, command: str, subscription: Subscription, handler: Handler) -> None:
        named = {"pattern": subscription.pattern, "group": subscription.group}
        await self.link.ask(command, handler=handler, subscription=named)


def greeted(command: Sequence[str], surroundings: Surroundings | None = None) -> frozenset[str]:
    """What an adapter claims. Raises AdapterError where it does not even greet as the protocol says."""

    async def ask() -> frozenset[str]:
        link = ProcessLink(command, None, ANSWER_SECONDS, surroundings or Surroundings())
        try:
            return await link.open()
        finally:
            await link.end()

    return asyncio.run(ask())
