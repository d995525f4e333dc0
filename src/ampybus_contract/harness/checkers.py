"""Pure functions over a history, named after the anomaly they find; none knows a binding or a broker.

Each gives the smallest part of the history that shows each anomaly, and an empty list for a good history.
"""

from __future__ import annotations

from collections.abc import Sequence

from ampybus_contract.harness.history import Event, Operation, Outcome

Anomaly = tuple[Event, ...]


def lost_write(history: Sequence[Event]) -> list[Anomaly]:
    """A publish answered ok whose message no consumer ever got.

    Indefinite and failed publishes may be absent. Sample: publish a ok, and no deliver a.
    """
    delivered = {item.id for item in history if item.operation is Operation.DELIVER}
    return [(item,) for item in history if _stored(item) and item.id not in delivered]


def duplicate_effect(history: Sequence[Event]) -> list[Anomaly]:
    """One message id whose effect one actor applied more than once. Sample: effect a, effect a."""
    return _repeats([item for item in history if item.operation is Operation.EFFECT])


def key_reordered(history: Sequence[Event]) -> list[Anomaly]:
    """Two messages of one producer and key whose first deliveries come in the other order.

    Sample: publish a, publish b, deliver b, deliver a. Redeliveries of what was seen are no reordering.
    """
    order: dict[str, int] = {}
    published: dict[str, Event] = {}
    for position, item in enumerate(history):
        if item.operation is Operation.PUBLISH and item.outcome is Outcome.INVOKE and item.id not in order:
            order[item.id] = position
            published[item.id] = item
    found: list[Anomaly] = []
    newest: dict[tuple[str, str, str], Event] = {}
    seen: set[tuple[str, str]] = set()
    for item in history:
        if item.operation is not Operation.DELIVER or item.id not in order or (item.actor, item.id) in seen:
            continue
        seen.add((item.actor, item.id))
        lane = (item.actor, published[item.id].actor, published[item.id].key)
        last = newest.get(lane)
        if last is not None and order[item.id] < order[last.id]:
            found.append((published[item.id], published[last.id], last, item))
        else:
            newest[lane] = item
    return found


def header_changed(history: Sequence[Event]) -> list[Anomaly]:
    """A delivery whose headers differ from those published under its id."""
    return [pair for pair in _pairs(history) if pair[0].headers != pair[1].headers]


def payload_changed(history: Sequence[Event]) -> list[Anomaly]:
    """A delivery whose payload bytes differ from those published under its id."""
    return [pair for pair in _pairs(history) if pair[0].body != pair[1].body]


def unpublished(history: Sequence[Event]) -> list[Anomaly]:
    """A delivery of an id that nobody handed to the bus, such as one made up on the way."""
    known = {item.id for item in history if item.operation is Operation.PUBLISH}
    return [(item,) for item in history if item.operation is Operation.DELIVER and item.id not in known]


def _stored(item: Event) -> bool:
    return item.operation is Operation.PUBLISH and item.outcome is Outcome.OK


def _repeats(events: Sequence[Event]) -> list[Anomaly]:
    first: dict[tuple[str, str], Event] = {}
    found: list[Anomaly] = []
    for item in events:
        earlier = first.setdefault((item.actor, item.id), item)
        if earlier is not item:
            found.append((earlier, item))
    return found


def _pairs(history: Sequence[Event]) -> list[tuple[Event, Event]]:
    published: dict[str, Event] = {}
    for item in history:
        if item.operation is Operation.PUBLISH and item.outcome is Outcome.INVOKE:
            published.setdefault(item.id, item)
    return [
        (published[item.id], item)
        for item in history
        if item.operation is Operation.DELIVER and item.id in published
    ]
