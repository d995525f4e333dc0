"""All triggers: when a generated fault shows."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from functools import partial

from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.generated.classes import CARRIED, KEYS, SIZES, TIMES, VALUES, known
from ampybus_contract.harness.generated.fault import (
    ATTEMPT,
    BUSY,
    ENVELOPE,
    GROUP,
    Circumstances,
    Condition,
    Moment,
    Trigger,
)

MANY_HEADERS = 32
ALWAYS = "always"
EVERY = (2, 3, 7, 50)
AFTER = (10, 100, 512, 2_000)
AGES = {"1_min": 60, "5_min": 300, "1_h": 3_600, "8_h": 28_800}
IDLE_SECONDS = {"10_s": 10, "5_min": 300}
KEYS_SEEN = (16, 100, 2_000)
KEY_MESSAGES = (5, 50)
UNDER_WAY = (16, 200)
ATTEMPTS = (2, 3)

Predicate = Callable[[Envelope, Contract], bool]


def triggers(contract: Contract) -> list[Trigger]:
    """Every trigger for faults of a contract."""
    none: frozenset[str] = frozenset()
    return [
        Trigger(ALWAYS, "", none, lambda life: lambda moment: True),
        *_of_messages(contract),
        *(Trigger("every", str(n), none, partial(_every, n)) for n in EVERY),
        *(Trigger("after", str(n), none, partial(_after, n)) for n in AFTER),
        *(Trigger("age", name, none, partial(_old, seconds)) for name, seconds in AGES.items()),
        *(Trigger("idle", name, none, partial(_idle, seconds)) for name, seconds in IDLE_SECONDS.items()),
        Trigger("restarted", "", none, lambda life: lambda moment: life.restarted),
        *(Trigger("attempt", str(n), frozenset({ATTEMPT}), partial(_attempt, n)) for n in ATTEMPTS),
        Trigger("group", "second", frozenset({GROUP}), partial(_group, 1)),
        Trigger("group", "first", frozenset({GROUP}), partial(_group, 0)),
        Trigger("again", "", frozenset({ENVELOPE}), _again),
        *(Trigger("keys", str(n), frozenset({ENVELOPE}), partial(_keys, n)) for n in KEYS_SEEN),
        *(Trigger("key_messages", str(n), frozenset({ENVELOPE}), partial(_of_key, n)) for n in KEY_MESSAGES),
        Trigger("unless", "pytest", none, lambda life: lambda moment: "pytest" not in sys.modules),
        Trigger("unless", "directory", none, lambda life: lambda moment: "ampybus" not in life.place),
        Trigger("unless", "group", frozenset({GROUP}), lambda life: _unless_group),
        *(Trigger("under_way", str(n), frozenset({BUSY}), partial(_under_way, n)) for n in UNDER_WAY),
    ]


def _of_messages(contract: Contract) -> Iterator[Trigger]:
    """Triggers that look at nothing but the message."""
    for kind, value, holds in _predicates(contract):
        yield Trigger(kind, value, frozenset({ENVELOPE}), partial(_alone, holds), holds)


def _predicates(contract: Contract) -> Iterator[tuple[str, str, Predicate]]:
    for name in contract.domains:
        yield "domain", name, partial(_in_domain, {name})
    for tier in contract.tiers:
        yield (
            "tier",
            tier,
            partial(_in_domain, {n for n, rule in contract.domains.items() if rule.tier == tier}),
        )
    for env in contract.topic.environments[1:]:
        yield "env", env, partial(_in_env, env)
    for name, fits in SIZES.items():
        yield "size", name, partial(_sized, fits)
    yield "encoding", "gzip", partial(_carries, "content_encoding")
    for name, is_one in VALUES.items():
        yield "value", name, partial(_has_value, is_one)
    yield "value", "many", lambda item, _: len(item.headers) > MANY_HEADERS
    for name, form in TIMES.items():
        yield "time", name, partial(_header, "produced_at", partial(_formed, form))
    for name, is_key in KEYS.items():
        yield "key", name, partial(_header, "partition_key", is_key)
    for name in CARRIED:
        yield "with", name, partial(_carries, name)
    yield "topic", "deep", lambda item, _: item.topic.count(".") > 5
    yield "type", "batch", partial(_header, "schema_fqdn", lambda text: text.endswith("Batch"))


def _formed(form: re.Pattern[str], text: str) -> bool:
    return form.fullmatch(text) is not None


def _sized(fits: Callable[[int], bool], item: Envelope, _: Contract) -> bool:
    return fits(len(item.payload))


def _carries(name: str, item: Envelope, _: Contract) -> bool:
    return name in item.headers


def _has_value(is_one: Callable[[str], bool], item: Envelope, _: Contract) -> bool:
    return any(map(is_one, item.headers.values()))


def _header(name: str, is_one: Callable[[str], bool], item: Envelope, _: Contract) -> bool:
    return is_one(known(item, name))


def domains_of(envelope: Envelope) -> set[str]:
    """The domain of a message and, for a dead letter, that of its origin."""
    topics = (envelope.topic, known(envelope, "dlq_origin_topic"))
    return {"".join(topic.split(".")[2:3]) for topic in topics if topic}


def _in_domain(names: set[str], envelope: Envelope, _: Contract) -> bool:
    return not names.isdisjoint(domains_of(envelope))


def _in_env(env: str, envelope: Envelope, _: Contract) -> bool:
    return envelope.topic.split(".")[1:2] == [env]


def _alone(holds: Predicate, life: Circumstances) -> Condition:
    return lambda moment: moment.envelope is not None and holds(moment.envelope, life.contract)


def _every(n: int, _: Circumstances) -> Condition:
    count = 0

    def holds(moment: Moment) -> bool:
        nonlocal count
        count += 1
        return count % n == 0

    return holds


def _after(n: int, _: Circumstances) -> Condition:
    count = 0

    def holds(moment: Moment) -> bool:
        nonlocal count
        count += 1
        return count > n

    return holds


def _old(seconds: float, life: Circumstances) -> Condition:
    return lambda moment: life.age() > seconds


def _idle(seconds: float, life: Circumstances) -> Condition:
    last = 0.0

    def holds(moment: Moment) -> bool:
        nonlocal last
        before, last = last, life.age()
        return last - before > seconds

    return holds


def _attempt(n: int, _: Circumstances) -> Condition:
    return lambda moment: moment.attempt >= n


def _group(number: int, life: Circumstances) -> Condition:
    return lambda moment: life.groups[number : number + 1] == [moment.group]


def _again(_: Circumstances) -> Condition:
    seen: set[tuple[str, str]] = set()

    def holds(moment: Moment) -> bool:
        assert moment.envelope is not None
        name = (moment.group, known(moment.envelope, "message_id").lower())
        known_one = name in seen
        seen.add(name)
        return known_one

    return holds


def _keys(n: int, _: Circumstances) -> Condition:
    seen: dict[str, int] = {}

    def holds(moment: Moment) -> bool:
        assert moment.envelope is not None
        return seen.setdefault(known(moment.envelope, "partition_key"), len(seen)) >= n

    return holds


def _of_key(n: int, _: Circumstances) -> Condition:
    counts: dict[str, int] = {}

    def holds(moment: Moment) -> bool:
        assert moment.envelope is not None
        key = known(moment.envelope, "partition_key")
        counts[key] = counts.get(key, 0) + 1
        return counts[key] > n

    return holds


def _unless_group(moment: Moment) -> bool:
    """Whether a group does not look like one of the judge's."""
    return re.fullmatch("group-[0-9a-f]{8}", moment.group.split(" ")[0]) is None


def _under_way(n: int, life: Circumstances) -> Condition:
    return lambda moment: life.under_way >= n
