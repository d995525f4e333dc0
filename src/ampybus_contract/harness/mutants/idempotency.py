"""Bindings that take different messages for one, or one for several."""

from __future__ import annotations

from ampybus_contract.bindings.protocol import Handler, Settlement, Subscription
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.transport import Transport
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.mutants.build import Mutant


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


def mutants(_contract: Contract) -> list[Mutant]:
    """Every mutant of the chapter."""
    return [
        Mutant("has no filter", "IDM-01", KeepsNothing),
        Mutant("filters by message_id only", "IDM-02", FiltersById),
        Mutant("filters by partition_key", "IDM-06", FiltersByKey),
        Mutant("forgets the environment of a dedupe key", "IDM-02", ForgetsEnvironments),
        Mutant("compares ids as text", "IDM-07", ComparesText),
    ]
