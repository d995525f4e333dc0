"""What is stored is read again, in every domain: by replays, from checkpoints, and into sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from ampybus_contract.bindings.protocol import Settlement
from ampybus_contract.envelope import Envelope, Topic
from ampybus_contract.envelope.codec import compress
from ampybus_contract.envelope.instant import instant_text
from ampybus_contract.harness.scenarios.breadth import (
    all_applied,
    answered,
    environments,
    publish_side_by_side,
)
from ampybus_contract.harness.stage import Stage
from ampybus_contract.harness.variety import Variety

SECOND = 1_000_000_000
AGO = 240 * SECOND
LENGTH = 60 * SECOND
EACH = 6
MANY = 130
FAILING = {1: ("raise",), 3: ("retry", "retry")}
"""The answers to some records of a window, by their place, before they are applied."""


async def replays(stage: Stage) -> None:
    """Every replayed domain, in several environments: windows, keys, patterns, subtopics, none and many.

    Requests are plain and compressed, come twice, and by two sinks; some handlers fail at first.
    """
    variety = Variety(stage.contract, stage.workload.seed)
    start = (await stage.now() - AGO) // SECOND * SECOND + 123_456_789
    last: list[tuple[Envelope, str]] = []
    for domain in variety.domains:
        scope = stage.contract.domains[domain].replay
        for env in environments(stage):
            if scope is None:
                continue
            made = [_at(stage, variety.any_of(domain, env), start + place) for place in range(EACH)]
            if scope == "key":
                await _by_key(stage, made)
            else:
                many = MANY if not last else 0
                more = [variety.renamed(made[0]) for _ in range(many)]
                made += [_at(stage, item, start + EACH + place) for place, item in enumerate(more)]
                last.append(await _by_window(stage, variety, made, start))
    for envelope, sink in last:
        await stage.applied([envelope], sink)
    await stage.quiet()


async def _by_window(
    stage: Stage, variety: Variety, made: Sequence[Envelope], start: int
) -> tuple[Envelope, str]:
    """Publish, and ask in each way; gives the record asked for at the end, and the sink that gets it."""
    first = made[0]
    pattern = ".".join([*first.topic.split(".")[:4], ">"])
    _, env, domain, _ = first.topic.split(".")[:4]
    sinks = [f"{env} {domain} replayer", f"{env} {domain} second replayer"]
    outside = [
        _at(stage, variety.renamed(first), start - 1),
        _at(stage, variety.renamed(first), start + LENGTH),
    ]
    later = _at(stage, variety.renamed(first), start + 2 * LENGTH)
    await publish_side_by_side(stage, [*outside, *made, later])
    failing = {made[place].headers["message_id"]: answers for place, answers in FAILING.items()}

    def answer(envelope: Envelope, attempt: int) -> Settlement:
        claimed = "retry" in stage.claims
        return answered(failing.get(envelope.headers["message_id"], ()) if claimed else (), attempt)

    await stage.take_replays(pattern, sinks[0], answer=answer)
    await stage.take_replays(pattern, sinks[1])
    ask = stage.workload.replay_request
    whole = (start, start + LENGTH)
    await stage.publish(ask(first, (start - 2 * LENGTH, start - LENGTH)), ask(first, whole))
    await all_applied(stage, dict.fromkeys(sinks, pattern), made)
    await stage.publish(
        ask(first, whole),
        ask(first, whole, pattern=first.topic),
        ask(first, whole, subtopic=Topic.parse(made[1].topic).subtopic),
        _packed(ask(first, (start + 2 * LENGTH, start + 2 * LENGTH + 1))),
    )
    return later, sinks[0]


async def _by_key(stage: Stage, made: Sequence[Envelope]) -> None:
    """Publish, and ask for the key of one record; keys that hold the separator cannot be asked for."""
    first = made[0]
    key = first.headers["partition_key"]
    await publish_side_by_side(stage, made)
    if stage.contract.key_separator in key:
        return
    pattern = ".".join([*first.topic.split(".")[:4], ">"])
    sink = f"{'.'.join(first.topic.split('.')[1:3])} replayer"
    await stage.take_replays(pattern, sink)
    await stage.publish(stage.workload.replay_request(first, key=key))
    await stage.applied([first], sink)


def _at(stage: Stage, made: Envelope, at: int) -> Envelope:
    header: dict[str, str | None] = {stage.contract.replay.window["header"]: instant_text(at)}
    return replace(made, headers=made.headers.with_(**header))


def _packed(request: Envelope) -> Envelope:
    headers = request.headers.with_(content_encoding="gzip")
    return Envelope(request.topic, headers, compress(request.payload))


async def checkpoints(stage: Stage) -> None:
    """Groups of all domains that go on from their checkpoints, killed in the middle of a record, twice."""
    variety = Variety(stage.contract, stage.workload.seed)
    envs = environments(stage)
    groups: dict[str, str] = {}
    made: list[Envelope] = []
    for number, domain in enumerate(variety.domains):
        share = [variety.any_of(domain, envs[number % len(envs)]) for _ in range(EACH)]
        groups[f"{domain} reader"] = ".".join([*share[0].topic.split(".")[:4], ">"])
        made += share
    await publish_side_by_side(stage, made)
    for _ in range(2):
        begun = asyncio.Event()

        async def pause(_envelope: Envelope, _attempt: int, begun: asyncio.Event = begun) -> None:
            if variety.random.random() < 1 / EACH:
                begun.set()
                await asyncio.Event().wait()

        for group, pattern in groups.items():
            await stage.resume(pattern, group, pause=pause)
        await stage.happens(begun)
        await stage.rests()
        await stage.kill()
        more = [
            variety.any_of(Topic.parse(item.topic).domain, item.topic.split(".")[1]) for item in made[::EACH]
        ]
        await publish_side_by_side(stage, more)
        made += more
    for group, pattern in groups.items():
        await stage.resume(pattern, group)
    await all_applied(stage, groups, made)
    await stage.quiet()


async def sessions(stage: Stage) -> None:
    """Sessions of each domain and of each environment, of envelopes with every value of every factor."""
    variety = Variety(stage.contract, stage.workload.seed)
    made = [item.envelope for item in variety.envelopes(1)]
    await publish_side_by_side(stage, made)
    patterns = [f"{stage.contract.topic.prefix}.{env}.>" for env in environments(stage)]
    patterns += sorted({".".join([*item.topic.split(".")[:4], ">"]) for item in made})
    for pattern in patterns:
        session = await stage.capture(pattern)
    await stage.audit(session)
