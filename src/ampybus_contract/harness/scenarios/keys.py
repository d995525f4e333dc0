"""Keys that do not follow the payload."""

from __future__ import annotations

from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.stage import Stage

KEYS = 3
LIVES = 3


async def wrong_keys(stage: Stage) -> None:
    """Publish valid envelopes of every domain, and one each whose key does not follow the payload."""
    for domain in stage.workload.domains:
        await stage.publish(*(stage.workload.envelope(domain, key) for key in range(KEYS)))
        bad = stage.workload.envelope(domain)
        headers = bad.headers.with_(partition_key=f"not.{bad.headers['partition_key']}")
        await stage.publish(Envelope(bad.topic, headers, bad.payload))


async def missing_keys(stage: Stage) -> None:
    """Publish a valid envelope of every domain, one without a key, and one with an empty key."""
    for domain in stage.workload.domains:
        await stage.publish(stage.workload.envelope(domain))
        for nothing in (None, ""):
            await stage.publish(stage.workload.envelope(domain, partition_key=nothing))


async def separators(stage: Stage) -> None:
    """Publish, of every domain, a valid envelope and one for each component with a separator inside."""
    sign = stage.contract.key_separator
    for domain in stage.workload.domains:
        await stage.publish(stage.workload.envelope(domain))
        for name, text in stage.workload.parts(domain, 0).items():
            await stage.publish(stage.workload.envelope(domain, parts={name: f"{text}{sign}1"}))


async def keys_over_restarts(stage: Stage) -> None:
    """Publish many keys of every domain, by one binding after another."""
    for life in range(LIVES):
        for domain in stage.workload.domains:
            made = [stage.workload.envelope(domain, key) for key in range(stage.workload.keys(domain))]
            await stage.publish(*made)
        if life + 1 < LIVES:
            await stage.move(stage.place)
