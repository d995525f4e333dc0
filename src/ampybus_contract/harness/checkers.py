"""Pure functions over a history, named after the anomaly they find; none knows a binding or a broker.

Each gives one Anomaly for each case, and an empty list for a good history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ampybus_contract.contract import Contract
from ampybus_contract.envelope.pattern import matches
from ampybus_contract.harness.history import Anomaly, Event, Operation, Outcome
from ampybus_contract.validation import Finding, validate

History = Sequence[Event]
Checker = Callable[[History, Contract], list[Anomaly]]


def lost_write(history: History, contract: Contract) -> list[Anomaly]:
    """A publish answered ok whose message no subscription that covers its topic ever got.

    Indefinite and failed publishes may be absent, and so may poison. Sample: publish a ok, and no deliver a.
    """
    seen = {(item.actor, item.id) for item in history if item.operation is Operation.DELIVER}
    patterns = _patterns(history)
    return [
        Anomaly(f"The publish was acknowledged, but {actor} never got the message.", (item,))
        for item in history
        if _acknowledged(item) and not _musts(item, contract)
        for actor, pattern in patterns.items()
        if matches(pattern, item.topic) and (actor, item.id) not in seen
    ]


def duplicate_effect(history: History, _contract: Contract) -> list[Anomaly]:
    """One message id whose effect one consumer group applied more than once. Sample: effect a, effect a."""
    first: dict[tuple[str, str], Event] = {}
    found: list[Anomaly] = []
    for item in _only(history, Operation.EFFECT):
        earlier = first.setdefault((item.actor, item.id), item)
        if earlier is not item:
            found.append(
                Anomaly("One message took effect twice: an order would be applied twice.", (earlier, item))
            )
    return found


def nothing_shown(history: History, contract: Contract) -> list[Anomaly]:
    """A history that proves nothing: no valid publish succeeded, or nothing at all was delivered."""
    tried = [
        item for item in history if item.operation is Operation.PUBLISH and item.outcome is not Outcome.INVOKE
    ]
    valid = [item for item in tried if not _musts(item, contract)]
    if valid and not any(item.outcome is Outcome.OK for item in valid):
        return [Anomaly(f"No valid envelope could be published: {valid[0].error}", (valid[0],))]
    stored = [item for item in history if _acknowledged(item) and not _musts(item, contract)]
    for actor, pattern in _patterns(history).items():
        due = [item for item in stored if matches(pattern, item.topic)]
        if due and not any(item.actor == actor for item in _only(history, Operation.DELIVER)):
            return [Anomaly(f"The subscription to {pattern} got nothing of what was stored.", (due[0],))]
    return []


def swallowed(history: History, contract: Contract) -> list[Anomaly]:
    """A stored message that is like no other and never took effect. Sample: publish a ok, no effect a."""
    applied = {item.id for item in _only(history, Operation.EFFECT)}
    return [
        Anomaly("A message of its own was taken for a duplicate or lost: it never took effect.", (item,))
        for item in history
        if _acknowledged(item) and item.id not in applied and not _musts(item, contract)
    ]


def key_reordered(history: History, _contract: Contract) -> list[Anomaly]:
    """Two messages of one producer and key that a consumer first gets in the other order.

    Sample: publish a, publish b, deliver b, deliver a. A redelivery of what was seen is no reordering.
    """
    return _reordered(history, Operation.DELIVER, "arrived")


def effect_reordered(history: History, _contract: Contract) -> list[Anomaly]:
    """Two messages of one producer and key that take effect in the other order, as after a retry."""
    return _reordered(history, Operation.EFFECT, "took effect")


def header_changed(history: History, contract: Contract) -> list[Anomaly]:
    """A delivery whose headers differ from those published; what infrastructure adds does not count."""
    return [
        Anomaly(f"Headers changed on the way: {', '.join(names)}.", (sent, got))
        for sent, got in _pairs(history)
        if (names := _differing(sent, got, contract))
    ]


def unknown_header_changed(history: History, contract: Contract) -> list[Anomaly]:
    """A delivery in which a header that the contract does not know is gone or altered (D9)."""
    return [
        Anomaly(
            f"A header that the contract does not know was lost or altered: {', '.join(names)}.", (sent, got)
        )
        for sent, got in _pairs(history)
        if (names := [name for name in _differing(sent, got, contract) if name not in contract.headers])
    ]


def required_header_missing(history: History, contract: Contract) -> list[Anomaly]:
    """A delivery without a header that the contract requires."""
    required = [name for name, rule in contract.headers.items() if rule.required]
    published = _published(history)
    return [
        Anomaly(f"A required header did not arrive: {', '.join(gone)}.", (*published.get(item.id, ()), item))
        for item in _only(history, Operation.DELIVER)
        if (gone := [name for name in required if name not in item.envelope.headers])
    ]


def time_rewritten(history: History, contract: Contract) -> list[Anomaly]:
    """A delivery whose produced_at is not written as the contract says, or not as it was published."""
    rule = contract.headers["produced_at"]
    published = _published(history)
    found: list[Anomaly] = []
    for item in _only(history, Operation.DELIVER):
        text = item.envelope.headers.get(rule.name)
        origin = published.get(item.id, ())
        before = {event.envelope.headers.get(rule.name) for event in origin}
        if text is not None and (not rule.pattern.fullmatch(text) or (before and text not in before)):
            found.append(Anomaly(f"produced_at arrived as {text!r}.", (*origin, item)))
    return found


def id_rewritten(history: History, contract: Contract) -> list[Anomaly]:
    """A stored message whose id is no UUIDv7, was never published, or is carried by another one too."""
    rule = contract.headers["message_id"]
    known = {item.id for item in history if item.operation in (Operation.PUBLISH, Operation.INJECT)}
    first: dict[str, Event] = {}
    found: list[Anomaly] = []
    for item in _only(history, Operation.STORE):
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


def payload_changed(history: History, _contract: Contract) -> list[Anomaly]:
    """A delivery whose payload bytes differ from those published under its id."""
    return [
        Anomaly(
            f"The payload changed: {len(sent.envelope.payload)} bytes were published, "
            f"{len(got.envelope.payload)} other bytes arrived.",
            (sent, got),
        )
        for sent, got in _pairs(history)
        if sent.envelope.payload != got.envelope.payload
    ]


def violation_accepted(select: Callable[[Contract], Iterable[str]]) -> Checker:
    """A checker for envelopes that break one of the selected requirements and were not refused for good.

    A refusal is a publish that fails definitely, and nothing on the wire.
    """

    def accepted(history: History, contract: Contract) -> list[Anomaly]:
        wrong = set(select(contract))
        stored = {item.id: item for item in _only(history, Operation.STORE)}
        found: list[Anomaly] = []
        for item in history:
            if item.operation is not Operation.PUBLISH or item.outcome is Outcome.INVOKE:
                continue
            broken = [finding for finding in _musts(item, contract) if finding.requirement in wrong]
            if broken and (item.outcome is not Outcome.FAIL or item.id in stored):
                on_wire = (stored[item.id],) if item.id in stored else ()
                found.append(Anomaly(f"Not refused: {_words(broken[0])}", (item, *on_wire)))
        return found

    return accepted


def hint_missing(history: History, contract: Contract) -> list[Anomaly]:
    """A refused topic whose error does not hold the topic that was meant, where the contract can tell."""
    found: list[Anomaly] = []
    for item in history:
        if item.operation is not Operation.PUBLISH or item.outcome is not Outcome.FAIL:
            continue
        for finding in _musts(item, contract):
            meant = finding.hint.removeprefix("did you mean ").removesuffix("?")
            if finding.where == "topic" and meant != finding.hint and meant not in item.error:
                found.append(Anomaly(f"The refusal does not say that {meant} was meant.", (item,)))
    return found


def refused_valid(history: History, contract: Contract) -> list[Anomaly]:
    """A publish of a valid envelope that failed."""
    return [
        Anomaly(f"An envelope that keeps the contract was refused: {item.error}", (item,))
        for item in history
        if item.operation is Operation.PUBLISH and item.outcome is Outcome.FAIL and not _musts(item, contract)
    ]


def unanswered(history: History, contract: Contract) -> list[Anomaly]:
    """A publish of a valid envelope whose outcome stays open although nothing was disturbed."""
    return [
        Anomaly(f"A publish of a valid envelope had no definite outcome: {item.error}", (item,))
        for item in history
        if item.operation is Operation.PUBLISH and item.outcome is Outcome.INFO and not _musts(item, contract)
    ]


def key_wrong(history: History, contract: Contract) -> list[Anomaly]:
    """A stored message whose key is not the formula of its domain over its payload."""
    wrong = set(contract.key_requirements.values())
    return [
        Anomaly(f"The message on the wire has a wrong key. {_words(broken[0])}", (item,))
        for item in _only(history, Operation.STORE)
        if (broken := [finding for finding in _musts(item, contract) if finding.requirement in wrong])
    ]


def outside_pattern(history: History, _contract: Contract) -> list[Anomaly]:
    """A delivery on a topic that its subscription does not cover."""
    return [
        Anomaly(f"A subscription to {item.pattern} got a message on {item.topic}.", (item,))
        for item in _only(history, Operation.DELIVER)
        if not matches(item.pattern, item.topic)
    ]


def dead_letter_missing(history: History, contract: Contract) -> list[Anomaly]:
    """Poison that is not in the DLQ exactly once; messages are told apart by their payload."""
    found: list[Anomaly] = []
    for poison in _poison(history, contract):
        letters = _letters(history, poison, contract)
        if len(letters) != 1:
            said = "is not in the DLQ: it was dropped silently" if not letters else "is there more than once"
            found.append(Anomaly(f"A message that nobody can process {said}.", (poison, *letters)))
    return found


def dead_letter_changed(history: History, contract: Contract) -> list[Anomaly]:
    """A dead letter without its original headers and bytes, or with a wrong reason, origin or hash (D25)."""
    found: list[Anomaly] = []
    added = contract.dead_letter.headers
    for poison in _poison(history, contract):
        for letter in _letters(history, poison, contract):
            headers = letter.envelope.headers
            changed = [name for name, value in poison.envelope.headers.items() if headers.get(name) != value]
            wrong = [name for name in added.values() if name not in headers]
            wrong += [
                finding.where.removeprefix("headers.")
                for finding in validate(letter.envelope, contract)
                if finding.level == "MUST" and finding.where.removeprefix("headers.") in added.values()
            ]
            if headers.get(added["origin"], poison.topic) != poison.topic:
                wrong.append(added["origin"])
            if changed or wrong:
                names = ", ".join(dict.fromkeys([*changed, *wrong]))
                found.append(
                    Anomaly(f"The dead letter differs from the message in: {names}.", (poison, letter))
                )
    return found


def poison_retried(history: History, contract: Contract) -> list[Anomaly]:
    """Poison that was handed to the handler or counted as retried; no retry can mend it (D24)."""
    found: list[Anomaly] = []
    for poison in _poison(history, contract):
        again = [
            item
            for item in _only(history, Operation.DELIVER)
            if item.envelope.payload == poison.envelope.payload and item.topic == poison.topic
        ]
        counted = [
            letter
            for letter in _letters(history, poison, contract)
            if letter.envelope.headers.get("retry_count", "0") != "0"
        ]
        if again or counted:
            shown = (*again, *counted)[:2]
            found.append(Anomaly("A message that can never be decoded was tried again.", (poison, *shown)))
    return found


def _reordered(history: History, operation: Operation, verb: str) -> list[Anomaly]:
    published: dict[str, tuple[int, Event]] = {}
    for position, item in enumerate(history):
        if item.operation is Operation.PUBLISH and item.outcome is Outcome.INVOKE:
            published.setdefault(item.id, (position, item))
    found: list[Anomaly] = []
    newest: dict[tuple[str, str, str], Event] = {}
    seen: set[tuple[str, str]] = set()
    for item in _only(history, operation):
        if item.id not in published or (item.actor, item.id) in seen:
            continue
        seen.add((item.actor, item.id))
        position, origin = published[item.id]
        lane = (item.actor, origin.actor, origin.key)
        last = newest.get(lane)
        if last is not None and position < published[last.id][0]:
            sentence = f"Two messages of one key {verb} in the other order."
            found.append(Anomaly(sentence, (origin, published[last.id][1], last, item)))
        else:
            newest[lane] = item
    return found


def _only(history: History, operation: Operation) -> list[Event]:
    return [item for item in history if item.operation is operation]


def _acknowledged(item: Event) -> bool:
    return item.operation in (Operation.PUBLISH, Operation.INJECT) and item.outcome is Outcome.OK


def _patterns(history: History) -> dict[str, str]:
    """The pattern of each subscription that is in the history."""
    return {item.actor: item.pattern for item in _only(history, Operation.SUBSCRIBE)}


def _published(history: History) -> dict[str, tuple[Event]]:
    found: dict[str, tuple[Event]] = {}
    for item in history:
        if item.operation is Operation.PUBLISH and item.outcome is Outcome.INVOKE:
            found.setdefault(item.id, (item,))
    return found


def _pairs(history: History) -> list[tuple[Event, Event]]:
    published = _published(history)
    return [(*published[item.id], item) for item in _only(history, Operation.DELIVER) if item.id in published]


def _differing(sent: Event, got: Event, contract: Contract) -> list[str]:
    one, other = sent.envelope.headers, got.envelope.headers
    return sorted(
        name
        for name in {*one, *other}
        if one.get(name) != other.get(name)
        and not (name in contract.infrastructure_headers and name not in one)
    )


def _musts(item: Event, contract: Contract) -> list[Finding]:
    return [finding for finding in validate(item.envelope, contract) if finding.level == "MUST"]


def _words(finding: Finding) -> str:
    return f"{finding.where}: expected {finding.expected}, got {finding.got} ({finding.requirement})."


def _poison(history: History, contract: Contract) -> Iterable[Event]:
    return [
        item
        for item in _only(history, Operation.INJECT)
        if item.outcome is Outcome.OK and _musts(item, contract)
    ]


def _letters(history: History, poison: Event, contract: Contract) -> list[Event]:
    return [
        item
        for item in _only(history, Operation.STORE)
        if item.envelope.payload == poison.envelope.payload and is_dead_letter(item.topic, contract)
    ]


def is_dead_letter(topic: str, contract: Contract) -> bool:
    """Whether a topic belongs to a domain that carries the messages of others."""
    parts = topic.split(".")
    domain = contract.domains.get(parts[2]) if len(parts) > 2 else None
    return domain is not None and domain.carries is not None
