"""What is done to a binding; none of these knows what is right."""

from __future__ import annotations

import gzip

from ampybus_contract.bindings.protocol import Settlement
from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.stage import Stage

PER_KEY = 12
KEYS = 3
SIZES = (0, 1_000, 65_535, 65_536, 70_000, 120_000)


def domain_pattern(stage: Stage, domain: str) -> str:
    """The pattern for all topics of a domain."""
    topic = stage.workload.envelope(domain).topic
    return ".".join([*topic.split(".")[:4], ">"])


async def round_trip(stage: Stage) -> None:
    """Publish a few envelopes of every domain, with unknown headers, and take them."""
    made: list[Envelope] = []
    for domain in stage.workload.domains:
        await stage.subscribe(domain_pattern(stage, domain), f"{domain}-consumer")
        for key in range(KEYS):
            plain = stage.workload.envelope(domain, key)
            unknown = plain.headers.with_(x_desk="options", x_note="größer ≥ 1 %20", x_case="MiXed")
            envelope = Envelope(plain.topic, unknown, plain.payload)
            made.append(envelope)
            await stage.publish(envelope)
    for domain in stage.workload.domains:
        due = [item for item in made if item.topic.split(".")[2] == domain]
        await stage.applied(due, f"{domain}-consumer")


async def payload_sizes(stage: Stage) -> None:
    """Publish payloads of many sizes, one of them in an unusual but legal protobuf encoding."""
    domain = stage.workload.keyed_domain()
    await stage.subscribe(domain_pattern(stage, domain))
    made = [stage.workload.envelope(domain, size=size) for size in SIZES]
    twice = stage.workload.envelope(domain)
    made.append(Envelope(twice.topic, twice.headers, twice.payload * 2))
    packed = stage.workload.envelope(domain, size=1_000, content_encoding="gzip")
    made.append(Envelope(packed.topic, packed.headers, gzip.compress(packed.payload, mtime=0)))
    await stage.publish(*made)
    await stage.applied(made)


async def bad_topics(stage: Stage) -> None:
    """Publish topics that break the grammar one way each, and a valid one."""
    for domain in stage.workload.domains:
        good = stage.workload.envelope(domain)
        prefix, env, name, version, *rest = good.topic.split(".")
        subtopic = ".".join(rest)
        await stage.publish(good)
        for topic in (
            f"{prefix}.{env}_{name}_{version}_{'_'.join(rest)}",
            f"{prefix}.{env}.{name}.{version}",
            f"{prefix}.{env}.{name}.{version}..{subtopic}",
            f"{prefix}.staging.{name}.{version}.{subtopic}",
            f"{prefix}.{env}.no_such_domain.{version}.{subtopic}",
            f"{prefix}.{env}.{name}.1.{subtopic}",
            f"other.{env}.{name}.{version}.{subtopic}",
        ):
            bad = stage.workload.envelope(domain)
            await stage.publish(Envelope(topic, bad.headers, bad.payload))


async def wildcard_topics(stage: Stage) -> None:
    """Publish to a ``*`` and a ``>``, and a valid one."""
    domain = stage.workload.keyed_domain()
    await stage.publish(stage.workload.envelope(domain))
    for sign in ("*", ">"):
        bad = stage.workload.envelope(domain)
        stem = bad.topic.rpartition(".")[0]
        await stage.publish(Envelope(f"{stem}.{sign}", bad.headers, bad.payload))


async def wildcard_subscriptions(stage: Stage) -> None:
    """Subscribe by exact topic, by ``*`` and by ``>``, and publish all keys of a domain."""
    domain = stage.workload.keyed_domain()
    count = max(len(values) for values in stage.contract.samples[domain].components.values())
    made = [stage.workload.envelope(domain, key) for key in range(count)]
    first = made[0].topic
    stem = first.rpartition(".")[0]
    patterns = {"exact": first, "star": f"{stem}.*", "rest": f"{stem}.>"}
    for group, pattern in patterns.items():
        await stage.subscribe(pattern, group)
    await stage.publish(*made)
    await stage.applied([made[0]], "exact")
    await stage.applied([made[0]], "star")
    await stage.applied([made[0]], "rest")
    await stage.quiet()


async def wrong_keys(stage: Stage) -> None:
    """Publish valid envelopes of every domain, and one each whose key does not follow the payload."""
    for domain in stage.workload.domains:
        await stage.publish(*(stage.workload.envelope(domain, key) for key in range(KEYS)))
        bad = stage.workload.envelope(domain)
        headers = bad.headers.with_(partition_key=f"not.{bad.headers['partition_key']}")
        await stage.publish(Envelope(bad.topic, headers, bad.payload))


async def keyed_stream(stage: Stage) -> None:
    """One producer, several keys in turn, all taken by one group."""
    domain = stage.workload.keyed_domain()
    made = _keyed(stage, domain)
    await stage.publish(*made[: len(made) // 2])
    await stage.subscribe(domain_pattern(stage, domain))
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
    await stage.subscribe(domain_pattern(stage, domain), answer=answer)
    await stage.applied(made)


async def duplicates(stage: Stage) -> None:
    """The same messages published, published again, and put on the wire again twice."""
    domain = stage.workload.keyed_domain()
    made = [stage.workload.envelope(domain, key) for key in range(KEYS)]
    await stage.subscribe(domain_pattern(stage, domain))
    await stage.publish(*made)
    await stage.applied(made)
    await stage.publish(*made)
    await stage.inject(*made, *made)
    last = stage.workload.envelope(domain)
    await stage.publish(last)
    await stage.applied([last])
    await stage.quiet()


async def poison(stage: Stage) -> None:
    """Messages that no consumer can process, each kind once, between valid ones of the same key."""
    domain = stage.workload.keyed_domain()
    await stage.subscribe(domain_pattern(stage, domain))
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


def _keyed(stage: Stage, domain: str) -> list[Envelope]:
    return [stage.workload.envelope(domain, position % KEYS) for position in range(PER_KEY * KEYS)]
