"""Bindings broken in exactly one way each: the proof that a check can fail.

Each wraps the reference binding over any transport, in a few lines.
"""

from __future__ import annotations

from ampybus_contract.contract import Contract, default_contract
from ampybus_contract.harness.mutants import (
    arrivals,
    audit,
    backpressure,
    breadth,
    dead_letters,
    disturbed,
    encryption,
    envelope,
    faults,
    idempotency,
    keys,
    large_payloads,
    observability,
    ordering,
    pointers,
    refusals,
    replay,
    rereading,
    retries,
    security,
    service_levels,
    topics,
)
from ampybus_contract.harness.mutants.build import Mutant

CHAPTERS = (
    envelope,
    refusals,
    topics,
    keys,
    ordering,
    idempotency,
    retries,
    dead_letters,
    arrivals,
    large_payloads,
    pointers,
    observability,
    security,
    encryption,
    replay,
    backpressure,
    faults,
    disturbed,
    audit,
    service_levels,
    breadth,
    rereading,
)

__all__ = ["Mutant", "mutants"]


def mutants(contract: Contract | None = None) -> list[Mutant]:
    """Every mutant, one for each required header among them."""
    known = contract or default_contract()
    return [mutant for chapter in CHAPTERS for mutant in chapter.mutants(known)]
