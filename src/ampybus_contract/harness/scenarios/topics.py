"""Topics, right and wrong, and subscriptions to them."""

from __future__ import annotations

from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.stage import Stage

KEYS = 3
BROKEN = bytes([0xFF, 0xFE, 0xFD, 0xFC])


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


async def environments(stage: Stage) -> None:
    """One consumer for each environment, messages and poison in each."""
    domain = stage.workload.keyed_domain()
    everywhere = stage.contract.topic.environments
    for env in everywhere:
        await stage.subscribe(stage.pattern(domain, env), f"{env}-consumer")
    for env in everywhere:
        made = [stage.workload.envelope(domain, key, env=env) for key in range(KEYS)]
        await stage.publish(*made)
        if "dlq" in stage.claims:
            bad = stage.workload.envelope(domain, env=env)
            await stage.inject(Envelope(bad.topic, bad.headers, BROKEN + bad.payload))
        await stage.applied(made, f"{env}-consumer")
    if "dlq" in stage.claims:
        await stage.buried(len(everywhere))
    await stage.quiet()


async def every_name(stage: Stage) -> None:
    """Publish every key that the samples have, dots and signs in their names, and take them."""
    for domain in stage.workload.domains:
        group = f"{domain}-consumer"
        made = [stage.workload.envelope(domain, key) for key in range(stage.workload.keys(domain))]
        await stage.subscribe(stage.pattern(domain), group)
        await stage.publish(*made)
        if not await stage.applied(made, group):
            return
