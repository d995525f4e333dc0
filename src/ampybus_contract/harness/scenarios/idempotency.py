"""Messages that come more than once."""

from __future__ import annotations

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
