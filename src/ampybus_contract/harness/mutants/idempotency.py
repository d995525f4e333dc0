"""Bindings that take different messages for one, or one for several."""

from __future__ import annotations

from ampybus_contract.bindings.reference import ReferenceBinding
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


def mutants(_contract: Contract) -> list[Mutant]:
    """Every mutant of the chapter."""
    return [
        Mutant("has no filter", "IDM-01", KeepsNothing),
        Mutant("filters by partition_key", "IDM-06", FiltersByKey),
    ]
