"""Messages that did not arrive, or arrived where they should not."""

from __future__ import annotations

from ampybus_contract.contract import Contract
from ampybus_contract.envelope.pattern import matches
from ampybus_contract.harness.checkers.reading import (
    History,
    acknowledged,
    dedupe_of,
    letters_of,
    musts,
    only,
    poison_of,
    subscribed,
)
from ampybus_contract.harness.history import Anomaly, Operation, Outcome


def lost_write(history: History, contract: Contract) -> list[Anomaly]:
    """A publish answered ok whose message no subscription that covers its topic ever got.

    Indefinite and failed publishes may be absent, and so may poison. Sample: publish a ok, and no deliver a.
    """
    seen = {
        (item.actor, name) for item in only(history, Operation.DELIVER) for name in (item.id, dedupe_of(item))
    }
    patterns = subscribed(history)
    return [
        Anomaly(f"The publish was acknowledged, but {actor} never got the message.", (item,))
        for item in history
        if acknowledged(item) and not musts(item, contract)
        for actor, pattern in patterns.items()
        if matches(pattern, item.topic) and not {(actor, item.id), (actor, dedupe_of(item))} & seen
    ]


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
    for poison in poison_of(history, contract):
        env = poison.topic.split(".")[1]
        found += [
            Anomaly(f"A message of {env} was dead-lettered into another environment.", (poison, letter))
            for letter in letters_of(history, poison, contract)
            if letter.topic.split(".")[1] != env
        ]
    return found
