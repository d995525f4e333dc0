"""Messages of one key in another order than they were published in."""

from __future__ import annotations

from ampybus_contract.contract import Contract
from ampybus_contract.harness.checkers.reading import History, acknowledged, first_published, musts, only
from ampybus_contract.harness.history import Anomaly, Event, Operation


def key_reordered(history: History, _contract: Contract) -> list[Anomaly]:
    """Two messages of one producer and key that a consumer first gets in the other order.

    A key is one within an environment and a domain.

    Sample: publish a, publish b, deliver b, deliver a. A redelivery of what was seen is no reordering.
    """
    return _reordered(history, Operation.DELIVER, "arrived")


def effect_reordered(history: History, _contract: Contract) -> list[Anomaly]:
    """Two messages of one producer and key that take effect in the other order, as after a retry."""
    return _reordered(history, Operation.EFFECT, "took effect")


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


def _reordered(history: History, operation: Operation, verb: str) -> list[Anomaly]:
    first = first_published(history).items()
    published = {name: (place, item) for place, (name, (item,)) in enumerate(first)}
    found: list[Anomaly] = []
    newest: dict[tuple[str, ...], Event] = {}
    seen: set[tuple[str, str]] = set()
    for item in only(history, operation):
        if item.id not in published or (item.actor, item.id) in seen:
            continue
        seen.add((item.actor, item.id))
        position, origin = published[item.id]
        lane = (item.actor, origin.actor, *origin.topic.split(".")[1:3], origin.key)
        last = newest.get(lane)
        if last is not None and position < published[last.id][0]:
            sentence = f"Two messages of one key {verb} in the other order."
            found.append(Anomaly(sentence, (origin, published[last.id][1], last, item)))
        else:
            newest[lane] = item
    return found
