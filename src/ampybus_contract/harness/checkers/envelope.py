"""Headers and payloads that changed on the way."""

from __future__ import annotations

from ampybus_contract.contract import Contract
from ampybus_contract.envelope.digest import decoded_digest
from ampybus_contract.harness.checkers.reading import (
    History,
    arrivals,
    differing,
    fetched,
    first_published,
    is_dead_letter,
    musts,
    only,
    taken,
)
from ampybus_contract.harness.history import Anomaly, Event, Operation, Outcome


def header_changed(history: History, contract: Contract) -> list[Anomaly]:
    """A delivery whose headers differ from those published; what infrastructure adds does not count."""
    return [
        Anomaly(f"Headers changed on the way: {', '.join(names)}.", (sent, got))
        for sent, got in arrivals(history, contract)
        if (names := differing(sent, got, contract))
    ]


def unknown_header_changed(history: History, contract: Contract) -> list[Anomaly]:
    """A delivery in which a header that the contract does not know is gone or altered (D9)."""
    return [
        Anomaly(
            f"A header that the contract does not know was lost or altered: {', '.join(names)}.", (sent, got)
        )
        for sent, got in arrivals(history, contract)
        if (names := [name for name in differing(sent, got, contract) if name not in contract.headers])
    ]


def required_header_missing(history: History, contract: Contract) -> list[Anomaly]:
    """A delivery, of anything but a dead letter, without a header that the contract requires."""
    required = [name for name, rule in contract.headers.items() if rule.required]
    published = first_published(history)
    return [
        Anomaly(f"A required header did not arrive: {', '.join(gone)}.", (*published.get(item.id, ()), item))
        for item in only(history, Operation.DELIVER)
        if not is_dead_letter(item.topic, contract)
        and (gone := [name for name in required if name not in item.envelope.headers])
    ]


def required_header_altered(history: History, contract: Contract) -> list[Anomaly]:
    """A delivery in which a header that the contract requires has another value than was published."""
    required = {name for name, rule in contract.headers.items() if rule.required}
    return [
        Anomaly(f"A required header arrived with another value: {', '.join(names)}.", (sent, got))
        for sent, got in arrivals(history, contract)
        if (names := sorted(required & {*differing(sent, got, contract)} & {*got.envelope.headers}))
    ]


def time_rewritten(history: History, contract: Contract) -> list[Anomaly]:
    """A delivery whose produced_at is not written as the contract says, or not as it was published."""
    rule = contract.headers["produced_at"]
    published = first_published(history)
    found: list[Anomaly] = []
    for item in only(history, Operation.DELIVER):
        text = item.envelope.headers.get(rule.name)
        origin = published.get(item.id, ())
        before = {event.envelope.headers.get(rule.name) for event in origin}
        if text is not None and (not rule.pattern.fullmatch(text) or (before and text not in before)):
            found.append(Anomaly(f"produced_at arrived as {text!r}.", (*origin, item)))
    return found


def wire_differs(history: History, contract: Contract) -> list[Anomaly]:
    """A stored message that is not, header for header and byte for byte, what was published (D31).

    Sample: publish a, and store it with message-id for message_id.
    """
    stored = only(history, Operation.STORE)
    by_id = {item.id: item for item in reversed(stored)}
    by_payload = {(item.topic, item.envelope.payload): item for item in reversed(stored)}
    found: list[Anomaly] = []
    for sent in taken(history):
        got = by_id.get(sent.id) or by_payload.get((sent.topic, sent.envelope.payload))
        if got is None:
            found.append(Anomaly("Nothing on the wire is the message that was published.", (sent,)))
        elif got.topic != sent.topic:
            found.append(Anomaly(f"The topic on the wire is {got.topic}.", (sent, got)))
        elif names := differing(sent, got, contract):
            sentence = f"Headers on the wire are not those published: {', '.join(names)}."
            found.append(Anomaly(sentence, (sent, got)))
        elif got.envelope.payload != sent.envelope.payload:
            found.append(Anomaly("The payload on the wire is not the one published.", (sent, got)))
    return found


def mapped_otherwise(history: History, _contract: Contract) -> list[Anomaly]:
    """A message that the binding put on the wire in another way than the contract maps it (D29, D30).

    Sample: store a with the key of another message.
    """
    published = first_published(history)
    return [
        Anomaly(f"The binding maps the envelope otherwise: {item.error}.", (item,))
        for item in only(history, Operation.STORE)
        if item.error and item.id in published
    ]


def id_rewritten(history: History, contract: Contract) -> list[Anomaly]:
    """A stored message whose id is no UUIDv7, was never published, or is carried by another one too."""
    rule = contract.headers["message_id"]
    known = {item.id for item in history if item.operation in (Operation.PUBLISH, Operation.INJECT)}
    first: dict[str, Event] = {}
    found: list[Anomaly] = []
    for item in only(history, Operation.STORE):
        text = item.envelope.headers.get(rule.name)
        if text is None:
            continue
        if not rule.pattern.fullmatch(text):
            found.append(Anomaly(f"The id on the wire is no UUIDv7: {text!r}.", (item,)))
        elif item.id not in known:
            found.append(Anomaly(f"The id on the wire is not the one published: {text!r}.", (item,)))
        earlier = first.setdefault(item.id, item)
        if earlier is not item:
            found.append(Anomaly("Two messages on the wire carry one id.", (earlier, item)))
    return found


def payload_changed(history: History, contract: Contract) -> list[Anomaly]:
    """A delivery whose payload bytes differ from those published under its id, or that its pointer names."""
    return [
        Anomaly(
            f"The payload changed: {len(sent.envelope.payload)} bytes were published, "
            f"{len(got.envelope.payload)} other bytes arrived.",
            (sent, got),
        )
        for sent, got in arrivals(history, contract)
        if sent.envelope.payload != got.envelope.payload and not _as_named(sent, got, contract)
    ]


def _as_named(sent: Event, got: Event, contract: Contract) -> bool:
    """Whether a delivery holds the object that the published pointer names."""
    digest = contract.pointer_headers[1]
    named = sent.envelope.headers.get(digest)
    return fetched(sent, got, contract) and decoded_digest(got.envelope, contract) == named


def topic_changed(history: History, contract: Contract) -> list[Anomaly]:
    """A delivery on another topic than the message was published on."""
    return [
        Anomaly(f"A message published on {sent.topic} was delivered on {got.topic}.", (sent, got))
        for sent, got in arrivals(history, contract)
        if sent.topic != got.topic
    ]


def sent_plain(history: History, contract: Contract) -> list[Anomaly]:
    """A payload above the compression threshold that was taken and is not compressed on the wire.

    Refusing it and compressing it are both right (D16).
    """
    rule = contract.payload.requirements["compress"]
    stored = {item.id: item for item in only(history, Operation.STORE)}
    found: list[Anomaly] = []
    for item in only(history, Operation.PUBLISH):
        large = any(finding.requirement == rule for finding in musts(item, contract))
        if not large or item.outcome is Outcome.INVOKE:
            continue
        size = len(item.envelope.payload)
        on_wire = stored.get(item.id)
        if on_wire is not None and musts(on_wire, contract):
            sentence = f"A payload of {size} bytes went on the wire without compression."
            found.append(Anomaly(sentence, (item, on_wire)))
        elif on_wire is None and item.outcome is not Outcome.FAIL:
            sentence = f"A payload of {size} bytes was neither refused nor stored."
            found.append(Anomaly(sentence, (item,)))
    return found
