"""Envelopes that cross the bus and come out again."""

from __future__ import annotations

import gzip
from dataclasses import replace

from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.stage import Stage
from ampybus_contract.validation import validate

KEYS = 3
SIZES = (0, 1_000, 65_535, 65_536, 70_000, 120_000)


async def round_trip(stage: Stage) -> None:
    """Publish a few envelopes of every domain, with unknown headers, and take them."""
    made: list[Envelope] = []
    for domain in stage.workload.domains:
        await stage.subscribe(stage.pattern(domain), f"{domain}-consumer")
        for key in range(KEYS):
            plain = stage.workload.envelope(domain, key)
            unknown = plain.headers.with_(x_desk="options", x_note="größer ≥ 1 %20", x_case="MiXed")
            envelope = Envelope(plain.topic, unknown, plain.payload)
            made.append(envelope)
            await stage.publish(envelope)
    for domain in stage.workload.domains:
        due = [item for item in made if item.topic.split(".")[2] == domain]
        if not await stage.applied(due, f"{domain}-consumer"):
            return


async def every_header(stage: Stage) -> None:
    """Publish an envelope of every domain with as many headers as it may have, and take them."""
    made = [_full(stage, domain) for domain in stage.workload.domains]
    for envelope in made:
        await stage.subscribe(envelope.topic, f"{envelope.topic} consumer")
    await stage.publish(*made)
    for envelope in made:
        await stage.applied([envelope], f"{envelope.topic} consumer")


def _full(stage: Stage, domain: str) -> Envelope:
    """An envelope with each optional header of the contract that fits, and with one of nobody's."""
    contract = stage.contract
    made = stage.workload.envelope(domain, x_desk="options ≥ 1")
    others = {*contract.infrastructure_headers, *contract.pointer_headers, contract.kafka.topic_header}
    for name, rule in contract.headers.items():
        if name not in others and name not in made.headers:
            more = replace(made, headers=made.headers.with_(**{name: rule.example}))
            made = made if validate(more, contract) else more
    return made


async def payload_sizes(stage: Stage) -> None:
    """Publish payloads of many sizes, one of them in an unusual but legal protobuf encoding."""
    domain = stage.workload.keyed_domain()
    await stage.subscribe(stage.pattern(domain))
    made = [stage.workload.envelope(domain, size=size) for size in SIZES]
    twice = stage.workload.envelope(domain)
    made.append(Envelope(twice.topic, twice.headers, twice.payload * 2))
    packed = stage.workload.envelope(domain, size=1_000, content_encoding="gzip")
    made.append(Envelope(packed.topic, packed.headers, gzip.compress(packed.payload, mtime=0)))
    await stage.publish(*made)
    await stage.applied(made)


async def versions(stage: Stage) -> None:
    """Publish a valid version, and versions that are none or belong to another topic."""
    domain = stage.workload.keyed_domain()
    await stage.subscribe(stage.pattern(domain))
    good = [stage.workload.envelope(domain, key) for key in range(KEYS)]
    await stage.publish(*good)
    for text in ("v1", "1", "1.0", "2.0.0"):
        await stage.publish(stage.workload.envelope(domain, schema_version=text))
    await stage.applied(good)


async def unknown_encoding(stage: Stage) -> None:
    """Publish an encoding that the contract does not know, and put it on the wire."""
    domain = stage.workload.keyed_domain()
    await stage.subscribe(stage.pattern(domain))
    await stage.publish(stage.workload.envelope(domain, content_encoding="br"))
    if "dlq" in stage.claims:
        await stage.inject(stage.workload.envelope(domain, content_encoding="br"))
        await stage.buried(1)
    after = [stage.workload.envelope(domain, key) for key in range(KEYS)]
    await stage.publish(*after)
    await stage.applied(after)
