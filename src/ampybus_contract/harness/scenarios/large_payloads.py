"""Payloads around the limits of the contract."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import cache

from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.envelope.codec import compress
from ampybus_contract.harness.checkers.retries import NOISE_SECONDS
from ampybus_contract.harness.history import Operation, Outcome
from ampybus_contract.harness.stage import Stage
from ampybus_contract.harness.workload import Workload

KEYS = 6


async def compression_threshold(stage: Stage) -> None:
    """Payloads one byte below, at and above the threshold, plain, and above it compressed."""
    domain = stage.workload.keyed_domain()
    bound = stage.contract.payload.compress_above
    await stage.subscribe(stage.pattern(domain))
    plain = [stage.workload.sized(domain, bound + step) for step in (-1, 0)]
    packed = stage.workload.sized(domain, bound + 1, content_encoding="gzip")
    packed = replace(packed, payload=compress(packed.payload))
    above = stage.workload.sized(domain, bound + 1)
    await stage.publish(*plain, packed, above)
    await stage.applied([*plain, packed])


async def size_limit(stage: Stage) -> None:
    """Payloads at, above and one byte below the size limit, and around the most that the binding takes.

    The most that it takes is looked for by halves. Each has a small message beside it. What gets no answer
    ends the search: the connection may be gone.
    """
    domain = stage.workload.keyed_domain()
    await stage.subscribe(stage.pattern(domain))
    bound = stage.contract.payload.sent_below
    taken, refused, size = bound // 2, bound, bound - 1
    made: list[Envelope] = []
    for above in (bound, bound + 1):
        await _beside(stage, domain, above, made)
    while refused - taken > 1:
        outcome = await _beside(stage, domain, size, made)
        if outcome is Outcome.INFO:
            break
        taken, refused = (size, refused) if outcome is Outcome.OK else (taken, size)
        size = (taken + refused) // 2
    await stage.applied(made)


async def _beside(stage: Stage, domain: str, size: int, made: list[Envelope]) -> Outcome:
    """Publish a payload of that size beside a small message of another key; gives what became of it."""
    large, small = stage.workload.filled(domain, size), stage.workload.envelope(domain, 1)
    made += [large, small]
    outcome, _ = await asyncio.gather(
        stage.publish_one(large, "producer"), stage.publish_one(small, "neighbour")
    )
    return outcome


async def pointers(stage: Stage) -> None:
    """A pointer envelope as it should be, one without each of its headers, and one with a payload."""
    domain = stage.workload.keyed_domain()
    await stage.subscribe(stage.pattern(domain))
    whole = [stage.pointer(domain, key) for key in range(KEYS)]
    await stage.publish(*whole)
    for name in stage.contract.pointer_headers:
        part = stage.workload.pointer(domain)
        await stage.publish(replace(part, headers=part.headers.with_(**{name: None})))
    await stage.publish(replace(stage.workload.pointer(domain), payload=b"payload"))
    await stage.applied(whole)


async def replaced_object(stage: Stage) -> None:
    """Two payloads over the size limit; before they are fetched, one stored object gets other bytes."""
    await _spoiled(stage, Operation.REPLACE)


async def absent_object(stage: Stage) -> None:
    """Two payloads over the size limit; before they are fetched, one stored object is taken away."""
    await _spoiled(stage, Operation.REMOVE)


async def _spoiled(stage: Stage, how: Operation) -> None:
    domain = stage.workload.keyed_domain()
    spoiled, whole = stage.workload.bulky(domain, 0), stage.workload.bulky(domain, 1)
    after = [stage.workload.envelope(domain, key) for key in range(KEYS)]
    await stage.publish(spoiled, whole)
    await stage.spoil(spoiled, how)
    await stage.subscribe(stage.pattern(domain))
    await stage.publish(*after)
    await stage.buried(1, stage.contract.retry_of(domain).backoff_max + NOISE_SECONDS)
    await stage.applied([whole, *after])
    await stage.quiet()


@cache
def _bomb(contract: Contract, domain: str) -> bytes:
    """A compressed payload one byte over the cap; it takes a second to make, and is the same for all."""
    return compress(Workload(contract, 0).sized(domain, contract.payload.decoded_at_most + 1).payload)


async def decompression_bomb(stage: Stage) -> None:
    """A small message that decompresses to more than the cap, published, and put on the wire."""
    domain = stage.workload.keyed_domain()
    await stage.subscribe(stage.pattern(domain))
    bombs = []
    packed = _bomb(stage.contract, domain)
    for _ in range(2):
        bomb = stage.workload.envelope(domain, content_encoding="gzip")
        bombs.append(Envelope(bomb.topic, bomb.headers, packed))
    await stage.publish(bombs[0])
    if "dlq" in stage.claims:
        await stage.inject(bombs[1])
        await stage.buried(1)
    after = [stage.workload.envelope(domain, key) for key in range(KEYS)]
    await stage.publish(*after)
    await stage.applied(after)
