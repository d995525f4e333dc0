"""What a consumer got against the places that the broker gave the messages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from ampybus_contract.contract import Contract
from ampybus_contract.harness.checkers.reading import History, dedupe_of, is_dead_letter, musts, only
from ampybus_contract.harness.history import UNKNOWN, Anomaly, Event, Operation

Lane = tuple[str, str]
Places = dict[tuple[str, str], tuple[int, Event]]


def nonmonotonic(history: History, contract: Contract) -> list[Anomaly]:
    """Two messages of one topic and key that a consumer first gets against the order of their places.

    The broker's places decide, whoever published; a redelivery of what was seen is no step back.
    """
    found: list[Anomaly] = []
    newest: dict[tuple[str, Lane], tuple[int, Event]] = {}
    for item, place in _first(history, _places(history, contract), contract):
        lane = (item.actor, (item.topic, item.key))
        last = newest.get(lane)
        if last is not None and place < last[0]:
            found.append(Anomaly("A consumer went back to an earlier message of a key.", (last[1], item)))
        else:
            newest[lane] = place, item
    return found


def poll_skip(history: History, contract: Contract) -> list[Anomaly]:
    """A message of a topic and key that lies between two which a consumer got one after the other.

    It is not there or comes later. Poison and repeats of a dedupe key may be left out.
    """
    held: dict[Lane, list[tuple[int, Event]]] = defaultdict(list)
    places = _places(history, contract)
    for place, item in places.values():
        if not musts(item, contract):
            held[item.topic, item.key].append((place, item))
    for items in held.values():
        items.sort(key=lambda entry: entry[0])
    reached: dict[tuple[str, Lane], int] = {}
    got: dict[str, set[str]] = defaultdict(set)
    found: list[Anomaly] = []
    for item, place in _first(history, places, contract):
        lane = (item.topic, item.key)
        seen = got[item.actor]
        seen.update((item.id, dedupe_of(item)))
        items = held[lane]
        index = reached.get((item.actor, lane))
        if index is None:
            index = next((number for number, (at, _) in enumerate(items) if at >= place), len(items))
        while index < len(items) and items[index][0] < place:
            skipped = items[index][1]
            if skipped.id not in seen and dedupe_of(skipped) not in seen:
                found.append(Anomaly("A consumer skipped a message of a key.", (skipped, item)))
            index += 1
        reached[item.actor, lane] = index
    return found


def _first(history: History, places: Places, contract: Contract) -> Iterator[tuple[Event, int]]:
    """The first delivery of each message to each actor, with the place of the message, where it is known.

    What is replayed comes in an order of its own.
    """
    seen: set[tuple[str, str, str]] = set()
    for item in only(history, Operation.DELIVER):
        name = (item.actor, item.topic, item.id)
        known = places.get((item.topic, item.id))
        replayed = contract.replay.header in item.envelope.headers and (
            known is None or contract.replay.header not in known[1].envelope.headers
        )
        if name not in seen and known is not None and not replayed:
            seen.add(name)
            yield item, known[0]


def _places(history: History, contract: Contract) -> Places:
    """The place of the first copy of each message: as recorded, else by the order on the wire."""
    found: Places = {}
    for number, item in enumerate(only(history, Operation.STORE)):
        if not is_dead_letter(item.topic, contract):
            place = number if item.position == UNKNOWN else item.position
            found.setdefault((item.topic, item.id), (place, item))
    for item in only(history, Operation.DELIVER):
        if item.position != UNKNOWN:
            found.setdefault((item.topic, item.id), (item.position, item))
    return found
