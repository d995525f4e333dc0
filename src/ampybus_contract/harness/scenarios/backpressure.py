"""More records than a consumer can take, and a producer that is to slow down."""

from __future__ import annotations

import asyncio

from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.stage import Stage

BEYOND = 64
RECORDS = 12
TAKEN = 5
EACH = 6


async def held_handlers(stage: Stage) -> None:
    """A handler that settles nothing, and more records than may be in flight, each a key of its own."""
    domain = stage.workload.dedupe_domain()
    release = asyncio.Event()

    async def pause(_envelope: Envelope, _attempt: int) -> None:
        await release.wait()

    bound = stage.contract.backpressure.in_flight
    made = [stage.workload.envelope(domain) for _ in range(bound + BEYOND)]
    await stage.publish(*made)
    await stage.subscribe(stage.pattern(domain), pause=pause)
    try:
        await stage.rests()
        await stage.held()
    finally:
        release.set()
    await stage.applied(made)


async def behind(stage: Stage) -> None:
    """A consumer that stops in the middle of its records, and goes on."""
    domain = stage.workload.keyed_domain()
    made = [stage.workload.envelope(domain) for _ in range(RECORDS)]
    stopped, release = asyncio.Event(), asyncio.Event()

    async def pause(envelope: Envelope, _attempt: int) -> None:
        if envelope.headers.get("message_id") == made[TAKEN].headers["message_id"]:
            stopped.set()
            await release.wait()

    await stage.subscribe(stage.pattern(domain), pause=pause)
    await stage.publish(*made)
    try:
        await stage.happens(stopped)
        await stage.lag(RECORDS - TAKEN)
    finally:
        release.set()
    await stage.applied(made)
    await stage.lag(0)


async def slowed_producer(stage: Stage) -> None:
    """Records of the lowest and of the highest priority, published side by side by a slowed producer."""
    rank = {name: stage.contract.domains[name].priority for name in stage.workload.domains}
    low, high = min(rank, key=rank.__getitem__), max(rank, key=rank.__getitem__)
    levels = {rule.priority for rule in stage.contract.domains.values() if rule.priority <= rank[low]}
    made = {name: [stage.workload.envelope(name) for _ in range(EACH)] for name in (low, high)}
    for name in (low, high):
        await stage.subscribe(stage.pattern(name), f"{name} consumer")
    await stage.slow_down(len(levels))
    waiting = asyncio.create_task(stage.publish(*made[low], actor=f"{low} producer"))
    await stage.rests()
    going = asyncio.create_task(stage.publish(*made[high], actor=f"{high} producer"))
    await stage.answered(made[high])
    await stage.slow_down(0)
    await asyncio.gather(waiting, going)
    for name in (low, high):
        await stage.applied(made[name], f"{name} consumer")
