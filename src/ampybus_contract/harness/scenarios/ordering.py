"""Streams of several keys."""

from __future__ import annotations

from ampybus_contract.bindings.protocol import Settlement
from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.stage import Stage

PER_KEY = 12
KEYS = 3


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
