"""Records that are stored, and requests to replay some of them.

A request for a domain and scope is answered after the ones before it, so that a last request for one more
record tells when the others are done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ampybus_contract.envelope import Envelope
from ampybus_contract.envelope.instant import instant_text
from ampybus_contract.harness.stage import Stage

SECOND = 1_000_000_000
LENGTH = 10 * SECOND
AGO = 60 * SECOND
KEYS = 4
ROUNDS = 3
SLACK_SHARE = 0.9
SINK = "replayer"


async def window_edges(stage: Stage) -> None:
    """Records around both ends of a window, a nanosecond apart, in several keys."""
    domain = stage.workload.replayed_domain("time_window")
    start = await _past(stage)
    end = start + LENGTH
    edges = [start - 1, start, start + 1, end - 1, end, end + 1]
    made = [_at(stage, domain, at, key) for key in range(KEYS) for at in edges]
    await stage.publish(*made)
    await stage.take_replays(stage.pattern(domain))
    await stage.publish(stage.workload.replay_request(made[0], (start, end)))
    await stage.applied([item for number, item in enumerate(made) if number % len(edges) in (1, 2, 3)], SINK)
    await _last(stage, domain, made)


async def one_key(stage: Stage) -> None:
    """Records of several keys in a domain that is replayed by key, and a request for one of them."""
    domain = stage.workload.replayed_domain("key")
    made = [stage.workload.envelope(domain, key) for key in range(KEYS)]
    await stage.publish(*made)
    await stage.take_replays(stage.pattern(domain))
    key = made[1].headers["partition_key"]
    await stage.publish(stage.workload.replay_request(made[1], key=key))
    await stage.applied([made[1]], SINK)
    await stage.quiet()


async def replayed_sinks(stage: Stage) -> None:
    """Two sinks take a replay: one has applied part of the records, the other none."""
    domain = stage.workload.replayed_domain("time_window")
    start = await _past(stage)
    applied = [_at(stage, domain, start + number, 0) for number in range(ROUNDS)]
    missed = _at(stage, domain, start + ROUNDS, 1)
    await stage.subscribe(applied[0].topic, "consumer")
    await stage.publish(*applied, missed)
    await stage.applied(applied)
    for sink in ("consumer", SINK):
        await stage.take_replays(stage.pattern(domain), sink)
    await stage.publish(stage.workload.replay_request(missed, (start, start + LENGTH)))
    await stage.applied([*applied, missed], SINK)
    await stage.applied([missed])
    await stage.quiet()


async def replay_beside_live(stage: Stage) -> None:
    """A replay whose sink takes its time while live records are published and taken."""
    domain = stage.workload.replayed_domain("time_window")
    start = await _past(stage)
    old = [_at(stage, domain, start + number, number % KEYS) for number in range(KEYS * ROUNDS)]
    await stage.publish(*old)
    await stage.subscribe(stage.pattern(domain))
    await stage.applied(old)
    begun, release = asyncio.Event(), asyncio.Event()

    async def pause(_envelope: Envelope, _attempt: int) -> None:
        begun.set()
        await stage.happens(release)

    await stage.take_replays(stage.pattern(domain), SINK, pause)
    await stage.publish(stage.workload.replay_request(old[0], (start, start + LENGTH)))
    await stage.happens(begun)
    live = [_at(stage, domain, start + LENGTH + number, number % KEYS) for number in range(KEYS * ROUNDS)]
    await stage.publish(*live)
    await stage.applied(live)
    release.set()
    await stage.applied(old, SINK)
    await stage.quiet()


async def requested_in_one_env(stage: Stage) -> None:
    """The same records in two environments, and a request in one with a pattern that names neither."""
    domain = stage.workload.replayed_domain("time_window")
    start = await _past(stage)
    here, there = stage.contract.topic.environments[:2]
    made = {env: [_at(stage, domain, start + key, key, env) for key in range(KEYS)] for env in (here, there)}
    await stage.publish(*made[here], *made[there])
    tokens = stage.pattern(domain).split(".")
    anywhere = ".".join([tokens[0], "*", *tokens[2:]])
    await stage.take_replays(anywhere)
    request = stage.workload.replay_request(made[here][0], (start, start + LENGTH), pattern=anywhere)
    await stage.publish(request)
    await stage.applied(made[here], SINK)
    await _last(stage, domain, made[here])


async def stored_late(stage: Stage) -> None:
    """Records stored well before or after the time that they say, inside the slack of a lookup."""
    domain = stage.workload.replayed_domain("time_window")
    slack = round(stage.contract.replay.lookup_slack_seconds * SLACK_SHARE * SECOND)
    now = await stage.now()
    early = [_at(stage, domain, now + slack + number, number) for number in range(KEYS)]
    late = [_at(stage, domain, now - slack + number, number) for number in range(KEYS)]
    here = [_at(stage, domain, now + number, number) for number in range(KEYS)]
    await stage.publish(*late, *here, *early)
    await stage.take_replays(stage.pattern(domain))
    for part, start in ((late, now - slack), (here, now), (early, now + slack)):
        await stage.publish(stage.workload.replay_request(part[0], (start, start + LENGTH)))
        await stage.applied(part, SINK)
    await _last(stage, domain, here)


async def same_window_twice(stage: Stage) -> None:
    """One window, asked for twice by two sinks, with live traffic between."""
    domain = stage.workload.replayed_domain("time_window")
    start = await _past(stage)
    made = [_at(stage, domain, start + number, number % KEYS) for number in range(KEYS * ROUNDS)]
    await stage.publish(*made)
    for sink in (SINK, "second replayer"):
        await stage.take_replays(stage.pattern(domain), sink)
        await stage.publish(stage.workload.replay_request(made[0], (start, start + LENGTH)))
        await stage.applied(made, sink)
        await stage.publish(_at(stage, domain, start + LENGTH, 0))
    await stage.quiet()


def _at(stage: Stage, domain: str, at: int, key: int, env: str = "") -> Envelope:
    """A record produced at a time, in nanoseconds."""
    made = stage.workload.envelope(domain, key, env=env)
    header: dict[str, str | None] = {stage.contract.replay.window["header"]: instant_text(at)}
    return Envelope(made.topic, made.headers.with_(**header), made.payload)


async def killed_in_the_middle(stage: Stage) -> None:
    """A consumer with checkpoints that is killed while it works on a record, and one that goes on."""
    domain = stage.workload.keyed_domain()
    made = [stage.workload.envelope(domain, number % KEYS) for number in range(KEYS * ROUNDS)]
    caught = made[KEYS + 1]
    begun = asyncio.Event()

    async def pause(envelope: Envelope, _attempt: int) -> None:
        if envelope.headers.get("message_id") == caught.headers["message_id"]:
            begun.set()
            await asyncio.Event().wait()

    await stage.publish(*made)
    await stage.resume(stage.pattern(domain), pause=pause)
    await stage.happens(begun)
    await stage.rests()
    await stage.kill()
    after = [stage.workload.envelope(domain, key) for key in range(KEYS)]
    await stage.publish(*after)
    await stage.resume(stage.pattern(domain))
    await stage.applied([*made, *after])
    await stage.quiet()


async def _past(stage: Stage) -> int:
    """A time shortly before now, with all nine digits of its second set."""
    now = await stage.now()
    return (now - AGO) // SECOND * SECOND + 123_456_789


async def _last(stage: Stage, domain: str, made: Sequence[Envelope]) -> None:
    """Have one more record replayed, after everything that was asked for before."""
    at = await _past(stage) + 2 * LENGTH
    last = _at(stage, domain, at, 0)
    await stage.publish(last)
    await stage.publish(stage.workload.replay_request(made[0], (at, at + 1)))
    await stage.applied([last], SINK)
    await stage.quiet()
