"""Messages of one key in another order than they were published in."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache

from ampybus_contract.contract import Contract
from ampybus_contract.harness.checkers.reading import (
    History,
    acknowledged,
    first_published,
    in_doubt,
    is_dead_letter,
    musts,
    only,
    undisturbed,
)
from ampybus_contract.harness.history import Anomaly, Event, Operation, Outcome

STRICT = "strict"
TOPICS_KEPT = 1 << 16


def key_reordered(history: History, _contract: Contract) -> list[Anomaly]:
    """Two messages of one producer and key that a consumer first gets in the other order.

    A key is one within an environment and a domain.

    Sample: publish a, publish b, deliver b, deliver a. A redelivery of what was seen is no reordering. What
    was never answered with certainty may have been stored late, so it has no place in the order; nor have
    two that were under way at once while something was disturbed.
    """
    return _reordered(history, Operation.DELIVER, "arrived")


def effect_reordered(history: History, contract: Contract) -> list[Anomaly]:
    """Two messages of one producer and key that take effect in the other order, as after a retry.

    What was set aside comes later, once it is redriven; in a domain whose order is relaxed, so may what was
    tried again (D20).
    """
    late = {item.id for item in only(history, Operation.STORE) if is_dead_letter(item.topic, contract)}
    strict = {name for name, rule in contract.domains.items() if rule.ordering == STRICT}
    late |= {
        item.id for item in only(history, Operation.SETTLE) if strict.isdisjoint(item.topic.split(".")[2:3])
    }
    return _reordered(history, Operation.EFFECT, "took effect", late)


def stale_end(history: History, contract: Contract) -> list[Anomaly]:
    """A key whose last effect is not that of its newest message: the state stays old.

    Sample: publish a ok, publish b ok, effect b, effect a.
    """
    newest = {item.key: item for item in history if acknowledged(item) and not musts(item, contract)}
    last = {(item.actor, item.key): item for item in only(history, Operation.EFFECT)}
    return [
        Anomaly("The newest message of a key is not the one it ended on.", (newest[key], item))
        for (_actor, key), item in last.items()
        if key in newest and newest[key].id != item.id
    ]


def _reordered(
    history: History, operation: Operation, verb: str, late: Collection[str] = ()
) -> list[Anomaly]:
    published = {name: place for name, place in _places(history).items() if name not in late}
    calm = undisturbed(history)
    found: list[Anomaly] = []
    newest: dict[tuple[str, str, str, str], Event] = {}
    seen: set[tuple[str, str]] = set()
    for item in only(history, operation):
        if item.id not in published or (item.actor, item.id) in seen:
            continue
        if _family(item.topic) != _family(published[item.id][2].topic):
            continue
        seen.add((item.actor, item.id))
        begun, done, origin = published[item.id]
        lane = (item.actor, origin.actor, _family(origin.topic), origin.key)
        last = newest.get(lane)
        if last is None or begun > published[last.id][0]:
            newest[lane] = item
        elif calm or done < published[last.id][0]:
            sentence = f"Two messages of one key {verb} in the other order."
            found.append(Anomaly(sentence, (origin, published[last.id][2], last, item)))
    return found


@lru_cache(TOPICS_KEPT)
def _family(topic: str) -> str:
    """What the keys of a topic are told apart within: prefix, environment, domain and version."""
    return ".".join(topic.split(".")[:4])


def _places(history: History) -> dict[str, tuple[int, int, Event]]:
    """When the publish of each message began and when it was answered, in events, and its beginning.

    What was never answered with certainty is left out, and what others put on the wire too.
    """
    doubtful, first = in_doubt(history), first_published(history)
    injected = {item.id for item in only(history, Operation.INJECT)}
    answered: dict[str, int] = {}
    begun: dict[str, int] = {}
    for place, item in enumerate(only(history, Operation.PUBLISH)):
        if item.outcome is Outcome.INVOKE:
            begun.setdefault(item.id, place)
        else:
            answered[item.id] = place
    return {
        name: (begun[name], answered.get(name, begun[name]), item)
        for name, (item,) in first.items()
        if name not in doubtful and name not in injected
    }
