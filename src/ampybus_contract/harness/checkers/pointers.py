"""Payloads that travel as pointers to stored objects (section 9, D18)."""

from __future__ import annotations

from ampybus_contract.contract import Contract
from ampybus_contract.harness.checkers.reading import History, is_dead_letter, only
from ampybus_contract.harness.history import Anomaly, Event, Operation, Outcome

SPOILED = (Operation.REPLACE, Operation.REMOVE)


def large_payload_lost(history: History, contract: Contract) -> list[Anomaly]:
    """A payload that reaches the size limit and was refused, sent in full, or not handed out whole."""
    spoiled = {item.id for item in history if item.operation in SPOILED}
    stored = {item.id: item for item in reversed(only(history, Operation.STORE))}
    applied = {item.id: item for item in only(history, Operation.EFFECT)}
    found: list[Anomaly] = []
    for item in only(history, Operation.PUBLISH):
        payload = item.envelope.payload
        if item.outcome is Outcome.INVOKE or len(payload) < contract.payload.sent_below:
            continue
        wire, effect = stored.get(item.id), applied.get(item.id)
        if item.outcome is not Outcome.OK:
            found.append(Anomaly(f"A payload of {len(payload)} bytes was not stored: {item.error}", (item,)))
        elif wire is None or not all(name in wire.envelope.headers for name in contract.pointer_headers):
            sentence = f"A payload of {len(payload)} bytes was not sent as a pointer."
            found.append(Anomaly(sentence, (item, wire) if wire else (item,)))
        elif item.id not in spoiled and (effect is None or effect.envelope.payload != payload):
            sentence = "The handler did not get the payload that a pointer stands for."
            found.append(Anomaly(sentence, (item, effect) if effect else (item,)))
    return found


def object_unverified(history: History, contract: Contract) -> list[Anomaly]:
    """A message whose stored object was replaced and that was handled, or not dead-lettered for that."""
    return _mishandled(history, Operation.REPLACE, contract.pointer.on_mismatch, contract)


def absence_mishandled(history: History, contract: Contract) -> list[Anomaly]:
    """A message whose stored object is gone and that was handled, or not dead-lettered after its tries.

    It may be in the DLQ no sooner than the shortest pauses of its tier after the subscription began.
    """
    code = contract.dead_letter.codes["exhausted"]
    found = _mishandled(history, Operation.REMOVE, code, contract)
    began = next((item.at for item in only(history, Operation.SUBSCRIBE)), 0)
    for item in only(history, Operation.REMOVE):
        rule = contract.retry_of(item.topic.split(".")[2])
        pauses = [rule.pause(number + 1) for number in range(rule.attempts - 1)]
        least = sum(pauses) * (1 - rule.jitter)
        for buried in only(history, Operation.BURIED)[:1]:
            waited = (buried.at - began) / 1e9
            if waited < least:
                sentence = f"Given up after {waited:.3f} s, {rule.attempts} tries take {least:.3f} s or more."
                found.append(Anomaly(sentence, (item, buried)))
    return found


def _mishandled(history: History, spoiling: Operation, code: str, contract: Contract) -> list[Anomaly]:
    """Messages whose object was spoiled and that were handed out, or not buried once with a reason code."""
    reason = contract.dead_letter.headers["reason"]
    spoiled = only(history, spoiling)
    if not spoiled:
        return [Anomaly("No stored object was there to be spoiled.", tuple(history[:1]))]
    found: list[Anomaly] = []
    for item in spoiled:
        handed = [got for got in only(history, Operation.DELIVER) if got.id == item.id]
        letters: list[Event] = [
            letter
            for letter in only(history, Operation.STORE)
            if letter.id == item.id and is_dead_letter(letter.topic, contract)
        ]
        codes = [letter.envelope.headers.get(reason, "").partition(":")[0] for letter in letters]
        if handed:
            sentence = "A message whose stored object is not what it was went to the handler."
            found.append(Anomaly(sentence, (item, handed[0])))
        if codes != [code]:
            got = ", ".join(codes) or "none"
            found.append(Anomaly(f"It should be in the DLQ once with {code}, got {got}.", (item, *letters)))
    return found
