"""How much a consumer holds, how far it says it is behind, and who waits when it is too much (D28)."""

from __future__ import annotations

from collections.abc import Iterator

from ampybus_contract.contract import Contract
from ampybus_contract.envelope.pattern import matches
from ampybus_contract.harness.checkers.reading import History, acknowledged, musts, only, subscribed
from ampybus_contract.harness.history import Anomaly, Event, Operation, Outcome


def in_flight_exceeded(history: History, contract: Contract) -> list[Anomaly]:
    """A consumer that holds more unsettled records than the contract allows, by its handler or the broker.

    Sample: with a bound of one: deliver a, deliver b, effect a, effect b.
    """
    bound = contract.backpressure.in_flight
    held: dict[str, dict[str, Event]] = {}
    for item in history:
        mine = held.setdefault(item.actor, {})
        if item.operation is Operation.DELIVER:
            mine.setdefault(item.id, item)
        elif item.operation is Operation.EFFECT:
            mine.pop(item.id, None)
        elif item.operation is Operation.HELD and item.count > bound:
            return [Anomaly(f"{item.count} records are handed out and not settled, {bound} may be.", (item,))]
        if len(mine) > bound:
            first = next(iter(mine.values()))
            return [Anomaly(f"The handler has {len(mine)} records at once, {bound} may be.", (first, item))]
    return []


def lag_wrong(history: History, contract: Contract) -> list[Anomaly]:
    """A lag that is not the number of records stored for a group and not settled by it, or none reported."""
    reports = only(history, Operation.LAG)
    if not reports:
        return [Anomaly("No lag was reported.", tuple(history[-1:]))]
    patterns = subscribed(history)
    found: list[Anomaly] = []
    stored: list[Event] = []
    applied: set[tuple[str, str]] = set()
    for item in history:
        if acknowledged(item) and not musts(item, contract):
            stored.append(item)
        elif item.operation is Operation.EFFECT:
            applied.add((item.actor, item.id))
        elif item.operation is Operation.LAG:
            due = {one.id for one in stored if matches(patterns.get(item.actor, ""), one.topic)}
            truth = sum((item.actor, name) not in applied for name in due)
            if truth != item.count:
                found.append(Anomaly(f"The lag is {truth} records, {item.count} were reported.", (item,)))
    return found


def priority_inverted(history: History, contract: Contract) -> list[Anomaly]:
    """While a producer is to slow down, a record that goes out before a more urgent one asked for earlier.

    Sample: slow, publish high, publish low, publish low ok, publish high ok.
    """
    return [
        Anomaly("A record went out while one of higher priority was held back.", (urgent, item))
        for urgent, item in _overtaken(history)
        if _priority(urgent, contract) > _priority(item, contract)
    ][:1]


def nothing_slowed(history: History, contract: Contract) -> list[Anomaly]:
    """A producer that was told to slow down, and of which no record waited for a more urgent one.

    Sample: slow, publish low, publish low ok, publish high, publish high ok.
    """
    if any(_priority(waited, contract) < _priority(item, contract) for waited, item in _overtaken(history)):
        return []
    told = only(history, Operation.SLOW)
    return [Anomaly("No record of low priority waited for an urgent one.", tuple(told[:1] or history[-1:]))]


def _overtaken(history: History) -> Iterator[tuple[Event, Event]]:
    """What waits, with each record asked for later and stored before it, while the producer is slowed."""
    slow = False
    waiting: dict[str, tuple[int, Event]] = {}
    for place, item in enumerate(history):
        if item.operation is Operation.SLOW:
            slow = item.count > 0
        elif item.operation is Operation.PUBLISH and item.outcome is Outcome.INVOKE:
            waiting[item.id] = (place, item)
        elif item.operation is Operation.PUBLISH:
            asked, _ = waiting.pop(item.id, (place, item))
            if slow:
                yield from ((one, item) for since, one in waiting.values() if since < asked)


def _priority(item: Event, contract: Contract) -> int:
    """The priority of a message's domain; the lowest where its topic names none."""
    rule = contract.domains.get("".join(item.topic.split(".")[2:3]))
    return min(one.priority for one in contract.domains.values()) if rule is None else rule.priority
