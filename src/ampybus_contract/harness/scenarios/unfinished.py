"""Messages that their handler does not finish: it raises, asks for a retry, or dies with its process."""

from __future__ import annotations

import asyncio

from ampybus_contract.bindings.protocol import Kills, Settlement
from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.scenarios.disturbed import REDELIVERY_SECONDS
from ampybus_contract.harness.stage import HEALING, Stage

RAISED = "the handler raised"
RETRIED = "the handler asked for a retry"
KILLED = "the process was killed while the handler was at work"
KEYS = 3


class HandlerFailure(Exception):
    """What a handler of these scenarios raises."""


class Unfinished:
    """A handler that does not finish the first delivery of some messages, each in a way of its own."""

    def __init__(self, stage: Stage, domain: str) -> None:
        self.stage = stage
        self.domain = domain
        self.held, self.raising, self.retried = (stage.workload.envelope(domain, key) for key in range(KEYS))
        self.holding, self.released = asyncio.Event(), asyncio.Event()

    async def listen(self) -> None:
        """Subscribe the group with this handler."""
        pattern = self.stage.pattern(self.domain)
        await self.stage.subscribe(pattern, answer=self.answer, pause=self.pause)

    def some(self) -> list[Envelope]:
        """A message for each key."""
        return [self.stage.workload.envelope(self.domain, key) for key in range(KEYS)]

    async def pause(self, envelope: Envelope, attempt: int) -> None:
        """Wait with one message, raise for another."""
        if _same(envelope, self.held) and not self.released.is_set():
            self.holding.set()
            await self.released.wait()
        if attempt == 1 and _same(envelope, self.raising):
            self.stage.unfinished(envelope, RAISED)
            raise HandlerFailure("the database is away")
        if attempt == 1 and _same(envelope, self.retried):
            self.stage.unfinished(envelope, RETRIED)

    def answer(self, envelope: Envelope, attempt: int) -> Settlement:
        """Ask for a retry of one message."""
        return Settlement.RETRY if attempt == 1 and _same(envelope, self.retried) else Settlement.OK

    async def arrive(self, *envelopes: Envelope) -> bool:
        """Wait until all took effect, as long as the broker has something left to hand out again."""
        for _ in range(HEALING):
            if await self.stage.applied(envelopes):
                return True
            if not await self.stage.consumers.backlog():
                return False
        return False


async def unfinished(stage: Stage) -> None:
    """One message whose handler dies with its process, one for which it raises, one that it wants again.

    A binding that cannot be killed is let finish the first one.
    """
    handler = Unfinished(stage, stage.workload.keyed_domain())
    await handler.listen()
    await stage.consumers.redeliver_after(REDELIVERY_SECONDS)
    before = handler.some()
    await stage.publish(*before)
    await handler.arrive(*before)
    await stage.drained()
    await stage.publish(handler.held)
    if not await stage.happens(handler.holding):
        return
    await stage.rests()
    await stage.backlog()
    killed = isinstance(stage.binding, Kills) and "kill" in stage.claims
    if killed:
        stage.unfinished(handler.held, KILLED)
        await stage.kill()
    handler.released.set()
    if killed:
        await handler.listen()
    after = handler.some()
    await stage.publish(*after)
    if not await handler.arrive(handler.held, *after):
        return
    last = handler.some()
    await stage.publish(handler.raising, handler.retried, *last)
    await handler.arrive(handler.raising, handler.retried, *last)
    await stage.drained()


def _same(envelope: Envelope, other: Envelope) -> bool:
    return envelope.headers.get("message_id", "").lower() == other.headers["message_id"].lower()
