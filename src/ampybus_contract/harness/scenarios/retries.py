"""Messages whose handling fails."""

from __future__ import annotations

import asyncio

from ampybus_contract.bindings.protocol import Settlement
from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.checkers.retries import NOISE_SECONDS
from ampybus_contract.harness.stage import Stage

KEYS = 4
BROKEN = bytes([0xFF, 0xFE, 0xFD, 0xFC])


async def hopeless(stage: Stage) -> None:
    """Messages of several keys in a domain of each tier, which the handler wants to try again for ever."""
    tiers = {stage.contract.domains[name].tier: name for name in reversed(stage.workload.domains)}
    for domain in tiers.values():
        made = [stage.workload.envelope(domain, key) for key in range(KEYS)]
        await stage.subscribe(
            stage.pattern(domain), f"{domain} consumer", answer=lambda _envelope, _attempt: Settlement.RETRY
        )
        await stage.publish(*made)
    longest = max(stage.contract.retry_of(domain).backoff_max for domain in tiers.values())
    await stage.buried(KEYS * len(tiers), longest + 2 * NOISE_SECONDS)
    await stage.quiet()


async def failing_dead_letters(stage: Stage) -> None:
    """A consumer of the DLQ that can handle nothing in it."""
    domain = stage.workload.keyed_domain()
    await stage.subscribe(stage.pattern(domain))
    letters = stage.dead_letters(domain)
    await stage.subscribe(letters, "operator", answer=lambda _envelope, _attempt: Settlement.REJECT)
    bad = [stage.workload.envelope(domain, key) for key in range(KEYS)]
    await stage.inject(*(Envelope(item.topic, item.headers, BROKEN + item.payload) for item in bad))
    await stage.buried(KEYS)
    good = stage.workload.envelope(domain)
    await stage.publish(good)
    await stage.applied([good])
    await stage.quiet()


async def held_key(stage: Stage) -> None:
    """One message held by its handler, poison in another key, and messages of further keys."""
    domain = stage.workload.keyed_domain()
    held = stage.workload.envelope(domain, 0)
    taken, release = asyncio.Event(), asyncio.Event()

    async def pause(envelope: Envelope, _attempt: int) -> None:
        if envelope.headers.get("message_id") == held.headers["message_id"]:
            taken.set()
            await stage.happens(release)

    await stage.subscribe(stage.pattern(domain), pause=pause)
    await stage.publish(held)
    await stage.happens(taken)
    bad = stage.workload.envelope(domain, 1)
    await stage.inject(Envelope(bad.topic, bad.headers, BROKEN + bad.payload))
    others = [stage.workload.envelope(domain, 1 + key % (KEYS - 1)) for key in range(2 * KEYS)]
    await stage.publish(*others, stage.workload.envelope(domain, 0))
    await stage.applied(others)
    release.set()
    await stage.applied([held, *others])
    await stage.buried(1)


async def dead_letter_outage(stage: Stage) -> None:
    """Poison comes while the DLQ takes nothing; then the DLQ is back."""
    domain = stage.workload.keyed_domain()
    prefix = stage.contract.topic.prefix
    await stage.subscribe(stage.pattern(domain))
    living = [name for name, rule in stage.contract.domains.items() if rule.carries is None]
    await stage.levers.accept_only([f"{prefix}.*.{name}.>" for name in living])
    stage.fault("the DLQ takes nothing")
    bad = stage.workload.envelope(domain, 0)
    await stage.inject(Envelope(bad.topic, bad.headers, BROKEN + bad.payload))
    others = [stage.workload.envelope(domain, 1 + key % (KEYS - 1)) for key in range(KEYS)]
    await stage.publish(*others)
    await stage.applied(others)
    await stage.quiet()
    await stage.backlog()
    await stage.levers.accept_only(None)
    stage.fault("the DLQ is back")
    await stage.buried(1)


async def redriven(stage: Stage) -> None:
    """Messages that fail until their handler is mended, and two redrives."""
    domain = stage.workload.keyed_domain()
    mended = False

    def answer(_envelope: Envelope, _attempt: int) -> Settlement:
        return Settlement.OK if mended else Settlement.RETRY

    await stage.subscribe(stage.pattern(domain), answer=answer)
    made = [stage.workload.envelope(domain, key) for key in range(KEYS)]
    await stage.publish(*made)
    await stage.buried(KEYS)
    mended = True
    await stage.redrive(stage.dead_letters(domain), KEYS)
    await stage.applied(made)
    await stage.redrive(stage.dead_letters(domain), KEYS)
    await stage.quiet()
