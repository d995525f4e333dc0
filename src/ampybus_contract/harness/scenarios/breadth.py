"""The whole contract on one bus: every domain, environment, size and kind of header, side by side."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence

from ampybus_contract.envelope import Envelope, Topic
from ampybus_contract.envelope.pattern import matches
from ampybus_contract.harness.stage import Stage
from ampybus_contract.harness.variety import Drawn, Variety

PRODUCERS = 8
TWIN_EVERY = 3
PAIRS = 2


async def crossing(stage: Stage) -> None:
    """Envelopes in which each pair of values of all factors appears, and groups by pattern and by topic."""
    variety = Variety(stage.contract, stage.workload.seed)
    drawn = list(variety.envelopes(PAIRS))
    made = list(_with_twins(variety, drawn))
    groups = dict(_patterns(stage, made))
    for group, pattern in groups.items():
        await stage.subscribe(pattern, group)
    await publish_side_by_side(stage, made)
    await all_applied(stage, groups, made)


async def publish_side_by_side(stage: Stage, made: Sequence[Envelope]) -> None:
    """Publish by several producers at once; each key belongs to one of them."""
    lanes: dict[int, list[Envelope]] = defaultdict(list)
    numbers: dict[tuple[str, str], int] = {}
    for envelope in made:
        lane = (envelope.topic, envelope.headers.get("partition_key", ""))
        lanes[numbers.setdefault(lane, len(numbers)) % PRODUCERS].append(envelope)
    async with asyncio.TaskGroup() as tasks:
        for number, share in lanes.items():
            tasks.create_task(stage.publish(*share, actor=f"producer-{number}"))


async def all_applied(stage: Stage, groups: dict[str, str], made: Sequence[Envelope]) -> None:
    """Wait until each group applied all that its pattern covers; the first that does not ends the wait."""
    for group, pattern in groups.items():
        due = [item for item in made if matches(pattern, item.topic)]
        if not await stage.applied(due, group):
            return


def _with_twins(variety: Variety, drawn: Iterable[Drawn]) -> Iterable[Envelope]:
    """The envelopes, and after some of them another one of the same key."""
    for number, item in enumerate(drawn):
        yield item.envelope
        domain = variety.contract.domains[Topic.parse(item.envelope.topic).domain]
        if number % TWIN_EVERY == 0 and domain.dedupe_key is None:
            twin = variety.again(item.envelope)
            if twin is not None:
                yield twin


def _patterns(stage: Stage, made: Sequence[Envelope]) -> Iterable[tuple[str, str]]:
    """Groups over all of a domain in one environment, and over single topics: each name with its pattern."""
    by_family: dict[str, list[str]] = defaultdict(list)
    for envelope in made:
        family = ".".join(envelope.topic.split(".")[:4])
        by_family[family].append(envelope.topic)
    for family, topics in by_family.items():
        yield f"{family} consumer", f"{family}.>"
        if stage.workload.random.random() < 1 / len(stage.contract.topic.environments):
            yield f"{topics[0]} consumer", topics[0]
