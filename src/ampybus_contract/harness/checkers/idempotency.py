"""Effects applied more than once."""

from __future__ import annotations

from ampybus_contract.contract import Contract
from ampybus_contract.harness.checkers.reading import History, dedupe_of, only
from ampybus_contract.harness.history import Anomaly, Event, Operation


def duplicate_effect(history: History, _contract: Contract) -> list[Anomaly]:
    """One message id whose effect one consumer group applied more than once. Sample: effect a, effect a."""
    first: dict[tuple[str, str], Event] = {}
    found: list[Anomaly] = []
    for item in only(history, Operation.EFFECT):
        earlier = first.setdefault((item.actor, item.id), item)
        if earlier is not item:
            found.append(
                Anomaly("One message took effect twice: an order would be applied twice.", (earlier, item))
            )
    return found


def dedupe_repeated(history: History, _contract: Contract) -> list[Anomaly]:
    """One dedupe key of an environment and domain whose effect a group applied more than once (D23)."""
    first: dict[tuple[str, str], Event] = {}
    found: list[Anomaly] = []
    for item in only(history, Operation.EFFECT):
        earlier = first.setdefault((item.actor, dedupe_of(item)), item)
        if earlier is not item:
            sentence = "Two messages with one dedupe key took effect: one order was placed twice."
            found.append(Anomaly(sentence, (earlier, item)))
    return found
