"""Messages that come more than once."""

from __future__ import annotations

import asyncio

from ampybus_contract.bindings.protocol import Settlement
from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.history import Operation, Outcome
from ampybus_contract.harness.stage import Stage

KEYS = 3
WINDOW_SECONDS = 0.1
WINDOWS = 20
REDELIVERY_SECONDS = 1.0


async def duplicates(stage: Stage) -> None:
    """The same messages published, published again, and put on the wire again twice."""
    domain = stage.workload.keyed_domain()
    made = [stage.workload.envelope(domain, key) for key in range(KEYS)]
    await stage.subscribe(stage.pattern(domain))
    await stage.publish(*made)
    await stage.applied(made)
    await stage.publish(*made)
    await stage.inject(*made, *made)
    last = stage.workload.envelope(domain)
    await stage.publish(last)
    await stage.applied([last])
    await stage.quiet()


async def same_dedupe_key(stage: Stage) -> None:
    """Two messages with one dedupe key, and a third with it in another environment."""
    domain = stage.workload.dedupe_domain()
    parts = stage.workload.parts(domain, 0)
    here, there = stage.contract.topic.environments[:2]
    for env in (here, there):
        await stage.subscribe(stage.pattern(domain, env), f"{env}-consumer")
    first = stage.workload.envelope(domain, parts=parts)
    await stage.publish(first)
    await stage.applied([first], f"{here}-consumer")
    await stage.publish(stage.workload.envelope(domain, parts=parts))
    elsewhere = stage.workload.envelope(domain, parts=parts, env=there)
    others = [stage.workload.envelope(domain) for _ in range(KEYS)]
    await stage.publish(elsewhere, *others)
    await stage.applied(others, f"{here}-consumer")
    await stage.applied([elsewhere], f"{there}-consumer")
    await stage.quiet()


async def other_case(stage: Stage) -> None:
    """A message, and the same again with its id in upper case."""
    domain = stage.workload.keyed_domain()
    await stage.subscribe(stage.pattern(domain))
    made = [stage.workload.envelope(domain, key) for key in range(KEYS)]
    await stage.publish(*made)
    await stage.applied(made)
    for item in made:
        upper = item.headers.with_(message_id=item.headers["message_id"].upper())
        await stage.inject(Envelope(item.topic, upper, item.payload))
    last = stage.workload.envelope(domain)
    await stage.publish(last)
    await stage.applied([last])
    await stage.quiet()


async def after_the_window(stage: Stage) -> None:
    """Messages published again when the broker no longer takes them for duplicates."""
    domain = stage.workload.keyed_domain()
    await stage.levers.duplicate_window(WINDOW_SECONDS)
    await stage.subscribe(stage.pattern(domain))
    made = [stage.workload.envelope(domain, key) for key in range(KEYS)]
    await stage.publish(*made)
    await stage.applied(made)
    for item in made:
        for _ in range(WINDOWS):
            await stage.publish(item)
            if await stage.stored_copies(item) > 1:
                break
            await asyncio.sleep(WINDOW_SECONDS)
    last = stage.workload.envelope(domain)
    await stage.publish(last)
    await stage.applied([last])
    await stage.quiet()


async def lost_ack(stage: Stage) -> None:
    """The acknowledgement of a publish is lost; what tries again finds the broker well."""
    domain = stage.workload.keyed_domain()
    await stage.subscribe(stage.pattern(domain))
    first = stage.workload.envelope(domain)
    await stage.levers.lose_acks(True)
    stage.fault("acknowledgements are lost")
    publishing = asyncio.create_task(stage.publish(first))
    await stage.on_wire(first)
    await stage.levers.lose_acks(False)
    stage.fault("acknowledgements arrive again")
    await publishing
    await _finish(stage, domain, first)


async def lost_acks(stage: Stage) -> None:
    """Acknowledgements are lost until the publish gives up; the producer publishes the same again."""
    domain = stage.workload.keyed_domain()
    await stage.subscribe(stage.pattern(domain))
    first = stage.workload.envelope(domain)
    await stage.levers.lose_acks(True)
    stage.fault("acknowledgements are lost")
    await stage.publish(first)
    await stage.levers.lose_acks(False)
    stage.fault("acknowledgements arrive again")
    await _finish(stage, domain, first)


async def _finish(stage: Stage, domain: str, first: Envelope) -> None:
    """Publish again what has no definite outcome, then others, and take all."""
    if stage.history[-1].outcome is not Outcome.OK or stage.history[-1].operation is not Operation.PUBLISH:
        await stage.publish(first)
    others = [stage.workload.envelope(domain, key) for key in range(KEYS)]
    await stage.publish(*others)
    await stage.applied([first, *others])
    await stage.quiet()


async def crash_before_ack(stage: Stage) -> None:
    """A binding that dies between an effect and its acknowledgement, and another that takes over."""
    domain = stage.workload.keyed_domain()
    await stage.subscribe(stage.pattern(domain))
    await stage.consumers.redeliver_after(REDELIVERY_SECONDS)
    before = [stage.workload.envelope(domain, key) for key in range(KEYS)]
    await stage.publish(*before)
    await stage.applied(before)
    caught = stage.workload.envelope(domain)
    await stage.crash_after(caught)
    await stage.subscribe(stage.pattern(domain))
    after = [stage.workload.envelope(domain, key) for key in range(KEYS)]
    await stage.publish(*after)
    await stage.applied([caught, *after])
    await stage.drained()


async def duplicates_of_dead_letters(stage: Stage) -> None:
    """Messages that fail, come twice, are dead-lettered twice, and are redriven when they can be handled."""
    domain = stage.workload.keyed_domain()
    mended = False

    def answer(_envelope: Envelope, _attempt: int) -> Settlement:
        return Settlement.OK if mended else Settlement.RETRY

    await stage.subscribe(stage.pattern(domain), answer=answer)
    made = [stage.workload.envelope(domain, key) for key in range(KEYS)]
    await stage.publish(*made)
    await stage.buried(KEYS)
    await stage.inject(*made)
    await stage.buried(2 * KEYS)
    mended = True
    await stage.redrive(stage.dead_letters(domain), 2 * KEYS)
    await stage.applied(made)
    await stage.inject(*made)
    last = stage.workload.envelope(domain)
    await stage.publish(last)
    await stage.applied([last])
    await stage.quiet()
