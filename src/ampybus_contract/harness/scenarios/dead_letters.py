"""Messages that cannot be handled."""

from __future__ import annotations

from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.stage import Stage

KEYS = 3


async def poison(stage: Stage) -> None:
    """Messages that no consumer can process, each kind once, between valid ones of the same key."""
    domain = stage.workload.keyed_domain()
    await stage.subscribe(stage.pattern(domain))
    before = [stage.workload.envelope(domain, key) for key in range(KEYS)]
    await stage.publish(*before)
    bad = [
        stage.workload.envelope(domain, content_encoding="gzip"),
        stage.workload.envelope(domain),
        stage.workload.envelope(domain, schema_fqdn="ampy.no_such.v1.Thing"),
        stage.workload.envelope(domain, run_id=None),
    ]
    broken = bytes([0xFF, 0xFE, 0xFD, 0xFC])
    bad[1] = Envelope(bad[1].topic, bad[1].headers, broken + bad[1].payload)
    await stage.inject(*bad)
    after = [stage.workload.envelope(domain, key) for key in range(KEYS)]
    await stage.publish(*after)
    await stage.applied([*before, *after])
    await stage.buried(len(bad))
    await stage.quiet()
