"""What is on the wire against what was published: messages, and what is set aside of them."""

from __future__ import annotations

from collections import defaultdict

from ampybus_contract.contract import Contract
from ampybus_contract.envelope.digest import decoded_digest
from ampybus_contract.envelope.formula import fill
from ampybus_contract.harness.checkers.reading import (
    History,
    differing,
    first_published,
    has_a_dlq,
    is_dead_letter,
    only,
    span_headers,
    taken,
)
from ampybus_contract.harness.history import Anomaly, Event, Operation


def wire_changed(history: History, contract: Contract) -> list[Anomaly]:
    """A stored message that is not, header for header and byte for byte, what was published (D31, D41).

    A payload too large for the bus is stored beside it, and a pointer in its place (D18).
    """
    published: dict[str, list[Event]] = defaultdict(list)
    for item in [*only(history, Operation.PUBLISH), *only(history, Operation.INJECT)]:
        if all(item.envelope != known.envelope for known in published[item.id]):
            published[item.id].append(item)
    found: list[Anomaly] = []
    for got in only(history, Operation.STORE):
        origins = published.get(got.id, [])
        if is_dead_letter(got.topic, contract):
            continue
        wrong = [_changed(sent, got, contract) for sent in origins]
        if origins and all(wrong):
            found.append(Anomaly(wrong[0], (origins[0], got)))
    return found


def _changed(sent: Event, got: Event, contract: Contract) -> str:
    """What of a message is not as it was published, as a sentence; empty for nothing."""
    packed = _packed(sent, got, contract)
    names = [name for name in differing(sent, got, contract) if name not in packed]
    if got.topic != sent.topic:
        return f"Published on {sent.topic}, stored on {got.topic}."
    if names:
        return f"Headers on the wire are not those published: {', '.join(names)}."
    if got.envelope.payload != sent.envelope.payload and not packed:
        return "The payload on the wire is not the one published."
    return ""


def unstored(history: History, contract: Contract) -> list[Anomaly]:
    """A publish that was acknowledged, and whose message is not on the wire when all is over (D21).

    Sample: publish a ok, publish b ok, store b.
    """
    stored = {item.id for item in only(history, Operation.STORE)}
    return [
        Anomaly("The publish was acknowledged, and the broker does not hold the message.", (item,))
        for item in taken(history)
        if stored and item.operation is Operation.PUBLISH and item.id not in stored
    ]


def span_rewritten(history: History, contract: Contract) -> list[Anomaly]:
    """A delivery with another span than was published, from a binding that does not trace (D41)."""
    names = span_headers(contract)
    found: list[Anomaly] = []
    sent_by_id = first_published(history)
    for got in only(history, Operation.DELIVER):
        for sent in sent_by_id.get(got.id, ()):
            one, other = sent.envelope.headers, got.envelope.headers
            changed = sorted(name for name in names if one.get(name) != other.get(name))
            if changed:
                said = f"A binding that does not trace changed {', '.join(changed)}."
                found.append(Anomaly(said, (sent, got)))
    return found


def letter_differs(history: History, contract: Contract) -> list[Anomaly]:
    """A dead letter, of whatever cause, that is not its message with reason, origin and hash (D25).

    It lies in the DLQ of the environment and the domain of its message.
    """
    origins: dict[str, list[Event]] = defaultdict(list)
    for operation in (Operation.PUBLISH, Operation.INJECT):
        for item in only(history, operation):
            origins[item.id].append(item)
    found: list[Anomaly] = []
    for letter in only(history, Operation.STORE):
        if not letter.id or not is_dead_letter(letter.topic, contract):
            continue
        reasons = [_differs(origin, letter, contract) for origin in origins[letter.id]]
        if reasons and all(reasons):
            found.append(Anomaly(reasons[0], (origins[letter.id][0], letter)))
    return found


def _differs(origin: Event, letter: Event, contract: Contract) -> str:
    """What is wrong with a dead letter of a message, as a sentence; empty for nothing."""
    if is_dead_letter(origin.topic, contract):
        return ""
    return _misplaced(origin, letter, contract) or _altered(origin, letter, contract)


def _misplaced(origin: Event, letter: Event, contract: Contract) -> str:
    rule, headers = contract.dead_letter, letter.envelope.headers
    parts = dict(zip(("prefix", "env", "domain"), origin.topic.split("."), strict=False))
    if has_a_dlq(origin.topic, contract) and letter.topic != (place := fill(rule.topic, parts)):
        return f"The dead letter is on {letter.topic}, it belongs on {place}."
    if headers.get(rule.headers["origin"]) != origin.topic:
        return f"The dead letter names {headers.get(rule.headers['origin'])!r} as the topic it came from."
    if headers.get(rule.headers["reason"], "").partition(":")[0] not in rule.codes.values():
        return f"The dead letter has the reason {headers.get(rule.headers['reason'])!r}, which is none."
    return ""


def _altered(origin: Event, letter: Event, contract: Contract) -> str:
    packed = _packed(origin, letter, contract)
    free = {*packed, *contract.dead_letter.headers.values()}
    if names := [name for name in differing(origin, letter, contract) if name not in free]:
        return f"The dead letter differs from the message in: {', '.join(names)}."
    if origin.envelope.payload != letter.envelope.payload and not packed:
        return "The dead letter has other bytes than the message."
    digest = letter.envelope.headers.get(contract.dead_letter.headers["payload_hash"])
    if not packed and digest != decoded_digest(origin.envelope, contract):
        return "The dead letter has another payload hash than the message."
    return ""


def _packed(sent: Event, got: Event, contract: Contract) -> tuple[str, ...]:
    """The headers of a pointer that stands for the payload of what was published; empty where none does."""
    names = contract.pointer_headers
    ours = not any(name in sent.envelope.headers for name in names)
    return (
        names
        if ours and got.envelope.payload == b"" and all(n in got.envelope.headers for n in names)
        else ()
    )
