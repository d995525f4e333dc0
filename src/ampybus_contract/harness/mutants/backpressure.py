"""Bindings that take too much, do not know how far they are behind, or slow the wrong records."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.transport import Transport
from ampybus_contract.contract import Contract
from ampybus_contract.harness.mutants.build import Mutant

UNBOUNDED = 1_000_000


class ReportsNoLag(ReferenceBinding):
    """Says that it is never behind."""

    async def lag(self, group: str) -> int:
        return 0


class SlowsUrgent(ReferenceBinding):
    """Holds back the highest priorities first."""

    def __init__(self, transport: Transport, contract: Contract) -> None:
        super().__init__(transport, contract)
        levels = self.throttle.levels
        turned = {name: levels[0] + levels[-1] - level for name, level in self.throttle.priorities.items()}
        self.throttle.priorities = turned


class SlowsNothing(ReferenceBinding):
    """Goes on when it is told to slow down."""

    async def slow_down(self, levels: int) -> None:
        return None


def mutants(_contract: Contract) -> list[Mutant]:
    """Every mutant of the chapter."""
    return [
        Mutant("prefetches without bound", "BPR-01", _unbounded),
        Mutant("reports no lag", "BPR-02", ReportsNoLag),
        Mutant("slows urgent records", "BPR-03", SlowsUrgent),
        Mutant("does not slow down", "BPR-03", SlowsNothing),
    ]


def _unbounded(transport: Any, contract: Contract) -> ReferenceBinding:
    rule = replace(contract.backpressure, in_flight=UNBOUNDED)
    transport.contract = replace(contract, backpressure=rule)
    return ReferenceBinding(transport, transport.contract)
