"""Messages that did not arrive, or arrived where they should not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import cache, partial

from ampybus_contract.contract import Contract
from ampybus_contract.envelope.pattern import matches
from ampybus_contract.harness.checkers.reading import (
    History,
    acknowledged,
    dedupe_of,
    has_a_dlq,
    is_dead_letter,
    letters,
    musts,
    only,
    poison_of,
    subscribed,
)
from ampybus_contract.harness.history import Anomaly, Event, Operation, Outcome


def lost_write(history: History, contract: Contract) -> list[Anomaly]:
    """A stored message that a subscription to its topic never got, though it got a later one of its key.

    Stored is what was acknowledged, and what is indefinite but was seen by somebody. Poison may be absent.
    """
    return [
        Anomaly(f"The publish was acknowledged, but {actor} never got the message.", (item,))
        for actor, item, overtaken in _missing(history, contract)
        if overtaken
    ]


def unseen(history: History, contract: Contract) -> list[Anomaly]:
    """A stored message that a subscription to its topic had not got when the history ended.

    Nothing later of its key arrived either, so it may be on its way where a recording was cut off.
    """
    return [
        Anomaly(f"The publish was acknowledged, but {actor} had not got the message in the end.", (item,))
        for actor, item, overtaken in _missing(history, contract)
        if not overtaken
    ]


def _missing(history: History, contract: Contract) -> Iterator[tuple[str, Event, bool]]:
    """Each subscription with what it never got, and whether it got a later message of the same key."""
    got: dict[str, set[str]] = defaultdict(set)
    for item in only(history, Operation.DELIVER):
        got[item.actor].update((item.id, dedupe_of(item)))
    due = list(_stored(history, contract))
    for actor, pattern in subscribed(history).items():
        fits, seen = cache(partial(matches, pattern)), got[actor]
        newest: dict[tuple[str, str], int] = {}
        missing: list[tuple[int, Event]] = []
        for number, item in enumerate(due):
            if not fits(item.topic):
                continue
            if item.id in seen or dedupe_of(item) in seen:
                newest[item.topic, item.key] = number
            else:
                missing.append((number, item))
        for number, item in missing:
            yield actor, item, number < newest.get((item.topic, item.key), -1)


def _stored(history: History, contract: Contract) -> Iterator[Event]:
    """What is surely on the wire, in the order of the answers."""
    indefinite = {item.id for item in only(history, Operation.PUBLISH) if item.outcome is Outcome.INFO}
    if indefinite:
        indefinite &= {
            item.id
            for item in history
            if item.operation is Operation.DELIVER
            or (item.operation is Operation.STORE and not is_dead_letter(item.topic, contract))
        }
    for item in history:
        if item.operation is Operation.PUBLISH or item.operation is Operation.INJECT:
            stored = item.outcome is Outcome.OK or (item.outcome is Outcome.INFO and item.id in indefinite)
            if stored and not musts(item, contract):
                yield item


def nothing_shown(history: History, contract: Contract) -> list[Anomaly]:
    """A history that proves nothing: no valid publish succeeded, or nothing at all was delivered."""
    tried = [
        item for item in history if item.operation is Operation.PUBLISH and item.outcome is not Outcome.INVOKE
    ]
    valid = [item for item in tried if not musts(item, contract)]
    if valid and not any(item.outcome is Outcome.OK for item in valid):
        return [Anomaly(f"No valid envelope could be published: {valid[0].error}", (valid[0],))]
    stored = [item for item in history if acknowledged(item) and not musts(item, contract)]
    for actor, pattern in subscribed(history).items():
        due = [item for item in stored if matches(pattern, item.topic)]
        if due and not any(item.actor == actor for item in only(history, Operation.DELIVER)):
            return [Anomaly(f"The subscription to {pattern} got nothing of what was stored.", (due[0],))]
    return []


def swallowed(history: History, contract: Contract) -> list[Anomaly]:
    """A stored message that is like no other and never took effect. Sample: publish a ok, no effect a."""
    applied = {name for item in only(history, Operation.EFFECT) for name in (item.id, dedupe_of(item))}
    return [
        Anomaly("A message of its own was taken for a duplicate or lost: it never took effect.", (item,))
        for item in history
        if acknowledged(item) and not {item.id, dedupe_of(item)} & applied and not musts(item, contract)
    ]


def outside_pattern(history: History, _contract: Contract) -> list[Anomaly]:
    """A delivery on a topic that its subscription does not cover."""
    return [
        Anomaly(f"A subscription to {item.pattern} got a message on {item.topic}.", (item,))
        for item in only(history, Operation.DELIVER)
        if not matches(item.pattern, item.topic)
    ]


def cross_env(history: History, contract: Contract) -> list[Anomaly]:
    """A dead letter in another environment than the message it is about (D5)."""
    found: list[Anomaly] = []
    buried = letters(history, contract)
    for poison in poison_of(history, contract):
        if not has_a_dlq(poison.topic, contract):
            continue
        env = poison.topic.split(".")[1]
        found += [
            Anomaly(f"A message of {env} was dead-lettered into another environment.", (poison, letter))
            for letter in buried[poison.envelope.payload]
            if has_a_dlq(poison.topic, contract)
            and letter.id == poison.id
            and letter.topic.split(".")[1] != env
        ]
    return found
