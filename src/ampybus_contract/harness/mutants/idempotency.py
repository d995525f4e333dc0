"""Bindings that take different messages for one, or one for several."""

from __future__ import annotations

import uuid
from dataclasses import replace

from ampybus_contract.bindings.consumer import ConsumerGroup
from ampybus_contract.bindings.effects import EffectStore, MemoryEffects, effect_names
from ampybus_contract.bindings.protocol import Endpoint, Handler, Settlement, Subscription
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.transport import Incoming, Transport
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.errors import PublishError
from ampybus_contract.harness.mutants.build import Mutant, grouped


class KeepsNothing(ReferenceBinding):
    """Remembers no effect."""

    def identities(self, envelope: Envelope) -> list[str]:
        return []


class FiltersByKey(ReferenceBinding):
    """Takes messages of one key for duplicates."""

    def identities(self, envelope: Envelope) -> list[str]:
        return [envelope.headers.get("partition_key", "")]


class FiltersById(ReferenceBinding):
    """Does not look at dedupe keys."""

    def identities(self, envelope: Envelope) -> list[str]:
        return [envelope.headers.get("message_id", "").lower()]


class ForgetsEnvironments(ReferenceBinding):
    """Takes one dedupe key for the same in every environment, and in every group."""

    def __init__(self, transport: Transport, contract: Contract) -> None:
        super().__init__(transport, contract)
        self.seen: set[str] = set()

    async def subscribe(self, subscription: Subscription, handler: Handler) -> None:
        async def filtered(envelope: Envelope) -> Settlement:
            key = envelope.headers.get("dedupe_key")
            if key in self.seen:
                return Settlement.OK
            if key is not None:
                self.seen.add(key)
            return await handler(envelope)

        await super().subscribe(subscription, filtered)


class ComparesText(ReferenceBinding):
    """Tells ids apart by their case."""

    def identities(self, envelope: Envelope) -> list[str]:
        return [envelope.headers.get("message_id", "")]


class RemembersInMemory(ReferenceBinding):
    """Forgets all effects with the process."""

    def effect_store(self, endpoint: Endpoint) -> EffectStore:
        return MemoryEffects(self.contract.effects_remembered)


class NewIdPerAttempt(ReferenceBinding):
    """Makes another message of one whose publish it tries again."""

    async def send(self, envelope: Envelope) -> None:
        try:
            await self.transport.send(envelope)
        except PublishError as error:
            if error.definite:
                raise
            other = str(uuid.UUID(int=uuid.UUID(envelope.headers["message_id"]).int ^ 1))
            renamed = replace(envelope, headers=envelope.headers.with_(message_id=other))
            await self.transport.send(renamed)


class AlwaysDefinite(ReferenceBinding):
    """Says of every failed publish that nothing is stored."""

    async def publish(self, envelope: Envelope) -> None:
        try:
            await super().publish(envelope)
        except PublishError as error:
            raise PublishError(str(error), definite=True) from error


class MarksFirst(ConsumerGroup):
    """Remembers an effect before there is one."""

    async def settle(self, incoming: Incoming) -> None:
        names = effect_names(self.name, self.binding.identities(incoming.envelope))
        known = self.binding.effects.seen(names)
        self.binding.effects.apply(names)
        self.binding.effects.keep()
        if known or await self._handle(incoming) is None:
            await self.acknowledge(incoming)
        else:
            await self.bury(incoming, "exhausted", "given up")


def mutants(_contract: Contract) -> list[Mutant]:
    """Every mutant of the chapter."""
    return [
        Mutant("has no filter", "IDM-01", KeepsNothing),
        Mutant("filters by message_id only", "IDM-02", FiltersById),
        Mutant("filters by partition_key", "IDM-06", FiltersByKey),
        Mutant("forgets the environment of a dedupe key", "IDM-02", ForgetsEnvironments),
        Mutant("remembers effects in memory only", "IDM-03", RemembersInMemory),
        Mutant("relies on the broker's window", "IDM-04", KeepsNothing),
        Mutant("makes a new id for another attempt", "IDM-05", NewIdPerAttempt),
        Mutant("compares ids as text", "IDM-07", ComparesText),
        Mutant("marks as seen before the effect", "IDM-08", grouped(MarksFirst)),
        Mutant("makes a new id for each attempt", "FLT-06", NewIdPerAttempt),
        Mutant("reports a lost acknowledgement as definite", "FLT-06", AlwaysDefinite),
    ]
