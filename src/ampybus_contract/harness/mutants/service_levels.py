"""A measurement that is broken, not a binding."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.mutants.build import Mutant
from ampybus_contract.harness.scenarios.service_levels import stalled
from ampybus_contract.harness.stage import Stage


async def closed_loop(stage: Stage, made: Sequence[Envelope], rate: float) -> None:
    """Sends a record when the one before has taken effect, and counts its time from then."""
    for envelope in made:
        await stage.publish_one(envelope, "producer", stage.elapsed())
        await stage.applied([envelope])
        await asyncio.sleep(1 / rate)


def mutants(_contract: Contract) -> list[Mutant]:
    """Every mutant of the chapter."""
    timer = partial(stalled, load=closed_loop)
    return [Mutant("closed-loop timer", "SLO-07", ReferenceBinding, scenario=timer)]
