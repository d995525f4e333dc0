"""Work that leaves traces in metrics, logs and spans."""

from __future__ import annotations

import asyncio

from ampybus_contract.bindings.protocol import Settlement
from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.checkers.retries import NOISE_SECONDS
from ampybus_contract.harness.scenarios.retries import BROKEN
from ampybus_contract.harness.stage import Stage

KEYS = 3
BEYOND = 64
TAKEN = 5
REDELIVERY_SECONDS = 3.0
MARK_BITS = 256
AHEAD = "2999-01-01T00:00:00Z"


async def busy(stage: Stage) -> None:
    """Messages that succeed, at once or at the second attempt, one that never does, and one not decodable."""
    domain = stage.workload.keyed_domain()
    good = [_marked(stage, domain) for _ in range(KEYS)]
    flaky = [_marked(stage, domain) for _ in range(KEYS)]
    hopeless, bad = _marked(stage, domain), _marked(stage, domain)
    slow = {item.headers["message_id"] for item in flaky}

    def answer(envelope: Envelope, attempt: int) -> Settlement:
        name = envelope.headers.get("message_id", "")
        never = name == hopeless.headers["message_id"]
        return Settlement.RETRY if never or (name in slow and attempt == 1) else Settlement.OK

    await stage.subscribe(stage.pattern(domain), answer=answer)
    await stage.publish(*good, *flaky, hopeless)
    buried = 1
    if "dlq" in stage.claims:
        await stage.inject(Envelope(bad.topic, bad.headers, BROKEN + bad.payload))
        buried += 1
    await stage.applied([*good, *flaky])
    await stage.buried(buried, stage.contract.retry_of(domain).backoff_max + 2 * NOISE_SECONDS)
    await stage.quiet()


async def fast_clock(stage: Stage) -> None:
    """Messages of a producer whose clock is far ahead."""
    domain = stage.workload.keyed_domain()
    await stage.subscribe(stage.pattern(domain))
    made = [stage.workload.envelope(domain, key, produced_at=AHEAD) for key in range(KEYS)]
    await stage.publish(*made)
    await stage.applied(made)


async def stuck(stage: Stage) -> None:
    """A consumer that stands still with more records than it may hold, and another one that takes the rest.

    The broker is asked what is not settled when each of them has ended or is done.
    """
    domain = stage.workload.keyed_domain()
    made = [
        stage.workload.envelope(domain) for _ in range(stage.contract.backpressure.in_flight + TAKEN + BEYOND)
    ]
    settled = {item.headers["message_id"] for item in made[:TAKEN]}
    stands, release = asyncio.Event(), asyncio.Event()

    async def pause(envelope: Envelope, _attempt: int) -> None:
        if envelope.headers.get("message_id") not in settled:
            stands.set()
            await release.wait()

    def answer(envelope: Envelope, _attempt: int) -> Settlement:
        return Settlement.OK if envelope.headers.get("message_id") in settled else Settlement.RETRY

    await stage.subscribe(stage.pattern(domain), answer=answer, pause=pause)
    await stage.consumers.redeliver_after(REDELIVERY_SECONDS)
    await stage.publish(*made[:-BEYOND])
    await stage.happens(stands)
    await stage.rests()
    await stage.publish(*made[-BEYOND:])
    await stage.rests()
    ending = asyncio.create_task(stage.stop())
    await asyncio.sleep(0)
    release.set()
    await ending
    await stage.backlog()
    stage.metrics()
    await stage.begin_again()
    await stage.subscribe(stage.pattern(domain))
    await stage.applied(made)
    await stage.drained()
    await stage.backlog()


def _marked(stage: Stage, domain: str) -> Envelope:
    """An envelope whose payload holds a text that is nowhere else."""
    return stage.workload.noted(domain, f"{stage.workload.random.getrandbits(MARK_BITS):x}")
