"""Load by a plan, and what stands in its way (D38)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.stage import Stage

RATE = 500.0
STALL_SECONDS = 0.25

Load = Callable[[Stage, Sequence[Envelope], float], Awaitable[None]]


async def by_plan(stage: Stage, made: Sequence[Envelope], rate: float) -> None:
    """Each record at its time, whatever became of those before."""
    await stage.offer(made, rate)


async def stalled(stage: Stage, load: Load = by_plan) -> None:
    """As many records of one key as a percentile needs, and a consumer that stands still in the middle."""
    domain = stage.workload.keyed_domain()
    made = [stage.workload.envelope(domain) for _ in range(stage.contract.service_levels.minimum_samples)]
    caught = made[len(made) // 2].headers["message_id"]

    async def pause(envelope: Envelope, _attempt: int) -> None:
        if envelope.headers.get("message_id") == caught:
            stage.fault("the consumer stands still", round(STALL_SECONDS * 1000))
            await asyncio.sleep(STALL_SECONDS)

    await stage.subscribe(stage.pattern(domain), pause=pause)
    await load(stage, made, RATE)
    await stage.applied(made)
