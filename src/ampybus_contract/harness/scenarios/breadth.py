"""The whole contract on one bus: every domain, environment, size and kind of header, side by side."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ampybus_contract.bindings.protocol import Settlement
from ampybus_contract.envelope import Envelope, Topic
from ampybus_contract.envelope.pattern import matches
from ampybus_contract.harness.breadth import Breadth
from ampybus_contract.harness.history import RAISED
from ampybus_contract.harness.stage import Stage
from ampybus_contract.harness.variety import Drawn, Variety

PRODUCERS = 8
TWIN_EVERY = 3
STRENGTHS = {Breadth.FEW: 1, Breadth.EACH: 2, Breadth.EVERY: 3}
"""In how many factors at once each combination of values appears."""
ROUNDS = 2
LONGEST = 20.0
FORGETTING = 2_600
FEW = 150
HOURS = 6 * 3_600.0
FEW_LETTERS = 3
ENDINGS: Mapping[str, tuple[str, ...]] = {
    "at once": (),
    "at the second attempt": ("retry",),
    "after the handler raised": ("raise",),
    "refused at once": ("reject",),
    "refused at the second attempt": ("retry", "reject"),
    "never": ("retry",) * 20,
    "never, raising": ("raise",) * 20,
    "at the last attempt": (),
    "at once, again": (),
}
"""How the handling of a message ends, and what the handler answers before it applies it."""


async def crossing(stage: Stage) -> None:
    """Envelopes in which each pair of values of all factors appears, and groups by pattern and by topic.

    With a small breadth each value, with the largest each triple.
    """
    variety = Variety(stage.contract, stage.workload.seed)
    drawn = list(variety.envelopes(STRENGTHS[stage.breadth]))
    made = list(_with_twins(variety, drawn))
    groups = dict(_patterns(stage, made))
    for group, pattern in groups.items():
        await stage.subscribe(pattern, group)
    await publish_side_by_side(stage, made)
    await all_applied(stage, groups, made)


def environments(stage: Stage) -> Sequence[str]:
    """All environments of the contract, or where little is to be played the last two."""
    found = stage.contract.topic.environments
    return found[-2:] if stage.breadth is Breadth.FEW else found


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


async def all_applied(
    stage: Stage, groups: Mapping[str, str], made: Sequence[Envelope], seconds: float = 0
) -> bool:
    """Wait until each group applied all that its pattern covers; the first that does not ends the wait."""
    for group, pattern in groups.items():
        due = [item for item in made if matches(pattern, item.topic)]
        if not await stage.applied(due, group, seconds):
            return False
    return True


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


async def endings(stage: Stage) -> None:
    """In every domain and environment, messages whose handling ends in each way, and groups that apply all.

    What was set aside is redriven when the handlers are mended, a few letters first, where a binding can and
    nothing is measured.
    """
    variety = Variety(stage.contract, stage.workload.seed)
    plan = _Plan(stage)
    groups: dict[str, str] = {}
    for place, domain in enumerate(variety.domains):
        for turn, env in enumerate(environments(stage)):
            first = variety.any_of(domain, env)
            pattern = ".".join([*first.topic.split(".")[:4], ">"])
            groups[f"{env} {domain} consumer"] = pattern
            await stage.subscribe(pattern, f"{env} {domain} consumer", answer=plan.answer)
            if (place + turn) % len(environments(stage)) == 0:
                groups[f"{env} {domain} archive"] = pattern
                await stage.subscribe(pattern, f"{env} {domain} archive")
            for ending in ENDINGS:
                plan.add(variety.any_of(domain, env), ending)
    await publish_side_by_side(stage, plan.made)
    archives = {name: pattern for name, pattern in groups.items() if name.endswith("archive")}
    await all_applied(stage, archives, plan.made)
    consumers = {name: pattern for name, pattern in groups.items() if name not in archives}
    await all_applied(stage, consumers, [item for item in plan.made if not plan.fails(item)], LONGEST)
    if "dlq" not in stage.claims:
        return
    failing = [item for item in plan.made if plan.fails(item)]
    await stage.buried(len(failing), LONGEST)
    await stage.quiet()
    if "redrive" not in stage.claims or stage.place.telemetry is not None:
        return
    plan.mended = True
    for env in stage.contract.topic.environments:
        letters = stage.dead_letters(">", env)
        await stage.redrive(letters, FEW_LETTERS)
        await stage.redrive(letters, len(failing))
    await all_applied(stage, consumers, plan.made, LONGEST)
    await stage.quiet()


class _Plan:
    """What a handler answers for each message, by its attempt."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.made: list[Envelope] = []
        self.answers: dict[str, tuple[str, ...]] = {}
        self.mended = False

    def add(self, envelope: Envelope, ending: str) -> None:
        """Take a message into the plan."""
        before = ENDINGS[ending]
        if ending == "at the last attempt":
            before = ("retry",) * (self._attempts(envelope) - 1)
        self.made.append(envelope)
        self.answers[envelope.headers["message_id"].lower()] = before

    def fails(self, envelope: Envelope) -> bool:
        """Whether the handling of a message ends without an effect."""
        before = self.answers[envelope.headers["message_id"].lower()]
        return "reject" in before or len(before) >= self._attempts(envelope)

    def answer(self, envelope: Envelope, attempt: int) -> Settlement:
        """As planned; raises where the plan says so."""
        before = self.answers.get(envelope.headers.get("message_id", "").lower(), ())
        return Settlement.OK if self.mended else answered(before, attempt)

    def _attempts(self, envelope: Envelope) -> int:
        return self.stage.contract.retry_of(Topic.parse(envelope.topic).domain).attempts


def answered(before: Sequence[str], attempt: int) -> Settlement:
    """What a handler answers at an attempt, from 1: one after another, then ok; refused stays refused.

    Raises where the answer is to raise.
    """
    if attempt > len(before):
        refused = before and before[-1] == Settlement.REJECT
        return Settlement.REJECT if refused else Settlement.OK
    if before[attempt - 1] == RAISED:
        raise RuntimeError("the handler failed")
    return Settlement(before[attempt - 1])


async def repeats(stage: Stage) -> None:
    """In every domain and environment, messages that come again: at once, and after many others and hours.

    Ids come in another case, dedupe keys with another id, and the same dedupe keys in another environment,
    where they are nobody's repeat. Two groups take them.
    """
    variety = Variety(stage.contract, stage.workload.seed)
    envs = environments(stage)
    groups: dict[str, str] = {}
    made: list[Envelope] = []
    for domain in variety.domains:
        for env in envs:
            share = [variety.any_of(domain, env) for _ in range(ROUNDS)]
            pattern = ".".join([*share[0].topic.split(".")[:4], ">"])
            groups |= {f"{env} {domain} consumer": pattern}
            made += share
        groups |= {f"{envs[0]} {domain} archive": groups[f"{envs[0]} {domain} consumer"]}
    for group, pattern in groups.items():
        await stage.subscribe(pattern, group)
    await publish_side_by_side(stage, made)
    await all_applied(stage, groups, made)
    again = [*made, *_other_ids(variety, made), *_other_case(made)]
    await stage.inject(*again)
    await stage.publish(*made[:: len(envs)])
    elsewhere = _elsewhere(variety, made, envs)
    await stage.publish(*elsewhere)
    await all_applied(stage, groups, elsewhere)
    many = stage.virtual and stage.breadth is not Breadth.FEW
    others = [_filler(variety, stage) for _ in range(FORGETTING if many else FEW)]
    await publish_side_by_side(stage, others)
    await all_applied(stage, groups, others)
    if stage.virtual:
        await asyncio.sleep(HOURS)
    await stage.inject(*again)
    last = [variety.any_of(domain, env) for domain in variety.domains for env in envs]
    await publish_side_by_side(stage, last)
    await all_applied(stage, groups, last)
    await stage.quiet()


def _other_ids(variety: Variety, made: Iterable[Envelope]) -> Iterable[Envelope]:
    """For each message with a dedupe key, another one with that key."""
    for item in made:
        if "dedupe_key" in item.headers:
            yield variety.renamed(item)


def _other_case(made: Iterable[Envelope]) -> Iterable[Envelope]:
    """The messages with their ids in the other case."""
    for item in made:
        text = item.headers["message_id"]
        other = text.lower() if text != text.lower() else text.upper()
        yield replace(item, headers=item.headers.with_(message_id=other))


def _elsewhere(variety: Variety, made: Iterable[Envelope], envs: Sequence[str]) -> list[Envelope]:
    """Messages with the dedupe keys of others, in an environment in which nobody used them."""
    used = {(item.headers.get("dedupe_key"), item.topic.split(".")[1]) for item in made}
    found = []
    for item in made:
        prefix, env, rest = item.topic.split(".", 2)
        other = envs[(envs.index(env) + 1) % len(envs)]
        if "dedupe_key" in item.headers and (item.headers["dedupe_key"], other) not in used:
            found.append(replace(variety.renamed(item), topic=f"{prefix}.{other}.{rest}"))
    return found


def _filler(variety: Variety, stage: Stage) -> Envelope:
    """A message of a key of its own."""
    domain = stage.workload.dedupe_domain()
    return stage.workload.envelope(domain, variety.random.randrange(1 << 30))
