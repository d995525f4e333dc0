"""Effects applied more than once."""

from __future__ import annotations

from ampybus_contract.contract import Contract
from ampybus_contract.harness.checkers.reading import History, dedupe_of, is_dead_letter, only
from ampybus_contract.harness.history import Anomaly, Event, Operation


def duplicate_effect(history: History, contract: Contract) -> list[Anomaly]:
    """One message id whose effect one consumer group applied more than once. Sample: effect a, effect a.

    Dead letters are no messages of their own.
    """
    first: dict[tuple[str, str], Event] = {}
    found: list[Anomaly] = []
    for item in only(history, Operation.EFFECT):
        if is_dead_letter(item.topic, contract):
            continue
        earlier = first.setdefault((item.actor, item.id), item)
        if earlier is not item:
            found.append(
                Anomaly("One message took effect twice: an order would be applied twice.", (earlier, item))
            )
    return found


def dedupe_repeated(history: History, contract: Contract) -> list[Anomaly]:
    """One dedupe key of an environment and domain whose effect a group applied more than once (D23)."""
    first: dict[tuple[str, str], Event] = {}
    found: list[Anomaly] = []
    for item in only(history, Operation.EFFECT):
        if is_dead_letter(item.topic, contract):
            continue
        earlier = first.setdefault((item.actor, dedupe_of(item)), item)
        if earlier is not item:
            sentence = "Two messages with one dedupe key took effect: one order was placed twice."
            found.append(Anomaly(sentence, (earlier, item)))
    return found


def acked_before_effect(history: History, contract: Contract) -> list[Anomaly]:
    """A message that a consumer acknowledged before its effect, and that is no dead letter: a crash loses it.

    A duplicate of what took effect before needs no effect of its own. For recordings that show
    acknowledgements.
    """
    buried = {item.id for item in only(history, Operation.STORE) if is_dead_letter(item.topic, contract)}
    applied: set[tuple[str, str]] = set()
    found: list[Anomaly] = []
    for item in history:
        if item.operation is Operation.EFFECT:
            applied |= {(item.actor, item.id), (item.actor, dedupe_of(item))}
        elif item.operation is Operation.ACK and item.id not in buried:
            known = {(item.actor, item.id), (item.actor, dedupe_of(item))} & applied
            found += [] if known else [Anomaly("A message was acknowledged before it took effect.", (item,))]
    return found
