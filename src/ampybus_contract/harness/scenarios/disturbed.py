"""Consumers that die, brokers that die or stand still, and links that break or are slow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from ampybus_contract.brokers.levers import Linked
from ampybus_contract.brokers.location import elsewhere, first_server
from ampybus_contract.brokers.proxy import FaultProxy, Link, fault_proxy
from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.stage import Stage

HEALED = "the fault has ended"
KEYS = 3
ROUNDS = 6
OUTAGE_SECONDS = 0.5
PAUSE_SECONDS = 2.5
REDELIVERY_SECONDS = 1.0
LARGE_BYTES = 6_000
SLOW = Link(latency_seconds=0.02, jitter_seconds=0.03, bytes_per_second=60_000)
WORK_SECONDS = 0.004


async def killed_consumer(stage: Stage) -> None:
    """A consumer that is killed in the middle of a message, and another one of its group."""
    domain = stage.workload.keyed_domain()
    made = _made(stage, domain)
    caught, begun = made[KEYS + 1].headers["message_id"], asyncio.Event()

    async def pause(envelope: Envelope, _attempt: int) -> None:
        if envelope.headers.get("message_id") == caught:
            begun.set()
            await asyncio.Event().wait()

    await stage.subscribe(stage.pattern(domain), pause=pause)
    await stage.consumers.redeliver_after(REDELIVERY_SECONDS)
    await stage.publish(*made)
    await stage.happens(begun)
    await stage.rests()
    await stage.kill()
    await stage.subscribe(stage.pattern(domain))
    after = [stage.workload.envelope(domain, key) for key in range(KEYS)]
    await stage.publish(*after)
    await stage.healed([*made, *after])
    await stage.drained()


async def killed_broker(stage: Stage) -> None:
    """A broker that is killed while keys are published side by side, and started again with its data."""

    async def outage(during: Callable[[], Awaitable[None]]) -> None:
        await stage.restarts.kill()
        stage.fault("the broker was killed")
        await during()
        await stage.restarts.restart()
        stage.fault(HEALED)

    await _disturbed(stage, outage)


async def paused_broker(stage: Stage) -> None:
    """A broker that stands still for longer than a publish waits, and goes on."""

    async def outage(during: Callable[[], Awaitable[None]]) -> None:
        await stage.pauses.pause()
        stage.fault("the broker stands still")
        try:
            await during()
            await asyncio.sleep(PAUSE_SECONDS - OUTAGE_SECONDS)
        finally:
            await stage.pauses.go_on()
        stage.fault(HEALED)

    await _disturbed(stage, outage)


async def cut_link(stage: Stage) -> None:
    """A link that is cut and healed while keys are published side by side."""
    async with linked(stage) as link:

        async def outage(during: Callable[[], Awaitable[None]]) -> None:
            link.cut()
            stage.fault("the link was cut")
            await during()
            link.restore()
            stage.fault(HEALED)

        await _disturbed(stage, outage)
        await stage.stop()


async def healed_link(stage: Stage) -> None:
    """A link that is cut and healed, and then messages until one is acknowledged, for the recovery time."""
    domain = stage.workload.keyed_domain()
    made = _made(stage, domain)
    async with linked(stage) as link:
        await stage.subscribe(stage.pattern(domain))
        await stage.publish(*made)
        link.cut()
        stage.fault("the link was cut")
        await stage.publish(stage.workload.envelope(domain))
        link.restore()
        stage.fault(HEALED)
        await stage.healed([*made, *await stage.publish_until_acknowledged(domain)], stage.recovery)
        await stage.stop()


async def slow_link(stage: Stage) -> None:
    """A link with little room and long ways, on which every connection breaks once."""
    domain = stage.workload.keyed_domain()
    made = [
        stage.workload.envelope(domain, number % KEYS, size=LARGE_BYTES) for number in range(KEYS * ROUNDS)
    ]
    async with linked(stage) as link:
        await stage.subscribe(stage.pattern(domain))
        link.set(SLOW)
        stage.fault("the link is slow")
        async with asyncio.TaskGroup() as tasks:
            _publish_by_key(stage, tasks, made)
            await stage.answered(made[:KEYS])
            link.reset()
            stage.fault("all connections were reset")
        link.restore()
        stage.fault(HEALED)
        await stage.healed([*made, *await stage.publish_until_acknowledged(domain)])
        await stage.stop()


async def slow_consumer(stage: Stage) -> None:
    """More records than may be in flight, and a handler that is done with none before the last is stored."""
    domain = stage.workload.keyed_domain()
    bound = stage.contract.backpressure.in_flight
    made = [stage.workload.envelope(domain, number % KEYS) for number in range(bound + bound // 2)]
    stored = asyncio.Event()

    async def pause(_envelope: Envelope, _attempt: int) -> None:
        await stored.wait()
        await asyncio.sleep(WORK_SECONDS)

    await stage.subscribe(stage.pattern(domain), pause=pause)
    await stage.publish(*made)
    stored.set()
    await stage.applied(made)


async def _disturbed(
    stage: Stage, outage: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]
) -> None:
    """Traffic before, in and after an outage, and messages that others put on the wire after it."""
    domain = stage.workload.keyed_domain()
    made, late = _made(stage, domain), _made(stage, domain)
    await stage.subscribe(stage.pattern(domain))
    async with asyncio.TaskGroup() as tasks:
        _publish_by_key(stage, tasks, made)
        await stage.answered(made[: KEYS * ROUNDS // 2])

        async def during() -> None:
            _publish_by_key(stage, tasks, late)
            await asyncio.sleep(OUTAGE_SECONDS)

        await outage(during)
    await stage.publish_refused(*made, *late)
    others = [stage.workload.envelope(domain, key) for key in range(KEYS)]
    await stage.inject(*others)
    await stage.healed([*made, *late, *others, *await stage.publish_until_acknowledged(domain)])


def _made(stage: Stage, domain: str, size: int = 0) -> list[Envelope]:
    return [stage.workload.envelope(domain, number % KEYS, size=size) for number in range(KEYS * ROUNDS)]


def _publish_by_key(stage: Stage, tasks: asyncio.TaskGroup, made: list[Envelope]) -> None:
    for key in range(KEYS):
        tasks.create_task(stage.publish(*made[key::KEYS], actor=f"producer {key}"))


@asynccontextmanager
async def linked(stage: Stage) -> AsyncIterator[FaultProxy]:
    """The binding started anew behind a link that can be disturbed."""
    host, port = first_server(stage.place.url)
    own_port = 0
    if isinstance(stage.probe, Linked):
        port, own_port = stage.probe.link
    async with fault_proxy(port, host, own_port=own_port) as link:
        await stage.move(replace(stage.place, url=elsewhere(stage.place.url, f"127.0.0.1:{link.port}")))
        yield link
