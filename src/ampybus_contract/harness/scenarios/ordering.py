"""Streams of several keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from ampybus_contract.bindings.protocol import Settlement
from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.scenarios.disturbed import linked
from ampybus_contract.harness.stage import Stage

PER_KEY = 12
KEYS = 3
ROUNDS = 4
WORK_SECONDS = 0.03
HEALED_SECONDS = 12.0
REDELIVERY_SECONDS = 1.0
STEP = "x_step"
STEPS = ("submit", "amend", "cancel")


async def keyed_stream(stage: Stage) -> None:
    """One producer, several keys in turn, all taken by one group."""
    domain = stage.workload.keyed_domain()
    made = _keyed(stage, domain)
    await stage.publish(*made[: len(made) // 2])
    await stage.subscribe(stage.pattern(domain))
    await stage.publish(*made[len(made) // 2 :])
    await stage.applied(made)


async def keyed_stream_with_retries(stage: Stage) -> None:
    """As ``keyed_stream``, and the handler asks for another try of some messages, once or twice."""
    domain = stage.workload.keyed_domain()
    made = _keyed(stage, domain)
    failing = {
        item.headers["message_id"]: 1 + position % 2
        for position, item in enumerate(made)
        if position % 5 == 1
    }

    def answer(envelope: Envelope, attempt: int) -> Settlement:
        wanted = failing.get(envelope.headers.get("message_id", ""), 0)
        return Settlement.RETRY if attempt <= wanted else Settlement.OK

    await stage.publish(*made)
    await stage.subscribe(stage.pattern(domain), answer=answer)
    await stage.applied(made)


def _keyed(stage: Stage, domain: str) -> list[Envelope]:
    return [stage.workload.envelope(domain, position % KEYS) for position in range(PER_KEY * KEYS)]


async def many_keys(stage: Stage) -> None:
    """All keys of a domain side by side, with a handler that takes its time, another one for each message."""
    domain = stage.workload.keyed_domain()
    keys = stage.workload.keys(domain)
    made = [stage.workload.envelope(domain, position % keys) for position in range(keys * ROUNDS)]

    async def pause(_envelope: Envelope, _attempt: int) -> None:
        await asyncio.sleep(stage.workload.random.random() * WORK_SECONDS)

    await stage.publish(*made)
    await stage.subscribe(stage.pattern(domain), pause=pause)
    await stage.applied(made)


async def steps(stage: Stage) -> None:
    """Each key gets a submit, an amend and a cancel, and the handler is slow enough that they queue."""
    domain = stage.workload.keyed_domain()
    plain = [(step, stage.workload.envelope(domain, key)) for step in STEPS for key in range(KEYS)]
    made = [Envelope(item.topic, item.headers.with_(**{STEP: step}), item.payload) for step, item in plain]

    async def pause(_envelope: Envelope, _attempt: int) -> None:
        await asyncio.sleep(WORK_SECONDS)

    await stage.publish(*made)
    await stage.subscribe(stage.pattern(domain), pause=pause)
    await stage.applied(made)


async def snapshots(stage: Stage) -> None:
    """Several values for each key of a domain in which the latest wins."""
    domain = stage.workload.latest_domain()
    made = [stage.workload.envelope(domain, position % KEYS) for position in range(PER_KEY * KEYS)]
    await stage.subscribe(stage.pattern(domain))
    await stage.publish(*made)
    await stage.applied(made)


async def lost_connection(stage: Stage) -> None:
    """The leader or the link goes while messages are in hand and others are published, and comes back.

    What is in hand then is handled only after that.
    """
    domain = stage.workload.keyed_domain()
    made = _keyed(stage, domain)
    third = len(made) // 3
    begun, healed = asyncio.Event(), asyncio.Event()

    async def pause(_envelope: Envelope, _attempt: int) -> None:
        begun.set()
        await healed.wait()

    async with _breakable(stage) as break_and_heal:
        await stage.publish(*made[:third])
        await stage.subscribe(stage.pattern(domain), pause=pause)
        await stage.happens(begun)
        await stage.rests()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(stage.publish_at_last(*made[third:-third]))
            await break_and_heal()
        await stage.publish_at_last(*made[-third:])
        healed.set()
        await stage.consumers.redeliver_after(REDELIVERY_SECONDS)
        await stage.applied(made, seconds=HEALED_SECONDS)
        await stage.stop()


@asynccontextmanager
async def _breakable(stage: Stage) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """What takes the leader away, or else the link to the broker, and brings it back."""
    if stage.is_cluster:
        yield stage.change_leader
        return
    async with linked(stage) as link:

        async def cut_and_restore() -> None:
            link.cut()
            stage.fault("the link was cut")
            await stage.quiet()
            link.restore()
            stage.fault("the link is whole again")

        yield cut_and_restore
