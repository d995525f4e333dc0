"""A sample of the generated mutants that has something of every kind."""

from __future__ import annotations

import random
from collections.abc import Iterator

from ampybus_contract.contract import Contract
from ampybus_contract.harness.generated.catalogue import Catalogue, GeneratedMutant, catalogue
from ampybus_contract.harness.generated.fault import Fault

TRIES = 40


def draw(contract: Contract, count: int, seed: int) -> list[GeneratedMutant]:
    """So many different mutants, spread evenly over families of faults and then over kinds of triggers.

    The same count and seed give the same ones. Gives fewer only where a family after the other has no more.
    """
    known = catalogue(contract)
    source = random.Random(f"mutants {seed}")
    families = _families(known)
    found: dict[str, GeneratedMutant] = {}
    used: dict[str, int] = {}
    while families and len(found) < count:
        for name in source.sample(sorted(families), len(families)):
            mutant = _one(known, families[name], used, found, source)
            if mutant is None:
                del families[name]
            elif len(found) < count:
                found[mutant.id] = mutant
                used[mutant.trigger.kind] = used.get(mutant.trigger.kind, 0) + 1
    return list(found.values())


def _families(known: Catalogue) -> dict[str, list[Fault]]:
    families: dict[str, list[Fault]] = {}
    for fault in known.faults.values():
        families.setdefault(fault.family, []).append(fault)
    return families


def _one(
    known: Catalogue,
    faults: list[Fault],
    used: dict[str, int],
    found: dict[str, GeneratedMutant],
    source: random.Random,
) -> GeneratedMutant | None:
    """One of a family that is not found yet, with a kind of trigger that is used least so far."""
    for fault in _several(faults, source):
        fresh = [mutant for mutant in known.of(fault) if mutant.id not in found]
        if fresh:
            least = min(used.get(mutant.trigger.kind, 0) for mutant in fresh)
            return source.choice([item for item in fresh if used.get(item.trigger.kind, 0) <= least])
    return None


def _several(faults: list[Fault], source: random.Random) -> Iterator[Fault]:
    yield from source.sample(faults, len(faults))
