"""Messages that come more than once."""

from __future__ import annotations

from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.stage import Stage

KEYS = 3


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
