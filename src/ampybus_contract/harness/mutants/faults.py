"""Bindings that do not bear one kind of fault."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from ampybus_contract.bindings.consumer import ConsumerGroup
from ampybus_contract.bindings.protocol import Handler
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.transport import Incoming
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.errors import PublishError
from ampybus_contract.harness.mutants.build import Mutant, grouped
from ampybus_contract.harness.mutants.idempotency import KeepsNothing, NewIdPerAttempt, RemembersInMemory

SILENCE_SECONDS = 0.5


class TakesSilenceForYes(ReferenceBinding):
    """Says that a message is stored when nobody answered."""

    async def send(self, envelope: Envelope) -> None:
        try:
            await self.transport.send(envelope)
        except PublishError as error:
            if error.definite:
                raise


class HandsOverAnything(ReferenceBinding):
    """Does not look whether a message can be decoded."""

    def poison(self, envelope: Envelope) -> tuple[str, str] | None:
        return None


class LetsOvertakenGo(ConsumerGroup):
    """Takes a message for old when one that was stored later came before it."""

    def __init__(self, binding: ReferenceBinding, name: str, handler: Handler) -> None:
        super().__init__(binding, name, handler)
        self.newest = -1

    async def settle(self, incoming: Incoming) -> None:
        assert isinstance(incoming.position, int)
        if incoming.position < self.newest:
            await self.acknowledge(incoming)
            return
        self.newest = incoming.position
        await super().settle(incoming)


class StopsInSilence(ConsumerGroup):
    """Takes a pause for the end of the stream."""

    async def start(self, messages: AsyncIterator[Incoming]) -> None:
        await super().start(_until_silent(messages))


async def _until_silent(messages: AsyncIterator[Incoming]) -> AsyncIterator[Incoming]:
    first = True
    while True:
        try:
            async with asyncio.timeout(None if first else SILENCE_SECONDS):
                incoming = await anext(messages)
        except TimeoutError:
            return
        first = False
        yield incoming


class AcknowledgesFirst(ConsumerGroup):
    """Acknowledges a message, and then handles it."""

    async def settle(self, incoming: Incoming) -> None:
        await incoming.ack()
        await super().settle(incoming)


def mutants(_contract: Contract) -> list[Mutant]:
    """Every mutant of the chapter that schedules of faults show."""
    check = "FLT-08"
    return [
        Mutant("takes silence for an answer", check, TakesSilenceForYes, virtual=True),
        Mutant("makes a new id when an answer is lost", check, NewIdPerAttempt, virtual=True),
        Mutant("applies what comes twice", check, KeepsNothing, virtual=True),
        Mutant("lets go what was overtaken", check, grouped(LetsOvertakenGo), virtual=True),
        Mutant("hands over what cannot be decoded", check, HandsOverAnything, virtual=True),
        Mutant("stops listening when messages are late", check, grouped(StopsInSilence), virtual=True),
        Mutant("acknowledges before it handles", check, grouped(AcknowledgesFirst), virtual=True),
        Mutant("forgets effects in a crash", check, RemembersInMemory, virtual=True),
    ]
