"""Messages that nobody can process, and what became of them."""

from __future__ import annotations

from collections import defaultdict

from ampybus_contract.contract import Contract
from ampybus_contract.envelope.digest import decoded_digest
from ampybus_contract.envelope.formula import fill
from ampybus_contract.envelope.pattern import matches
from ampybus_contract.harness.checkers.reading import (
    History,
    acknowledged,
    copies,
    dedupe_of,
    due_letters,
    has_a_dlq,
    is_dead_letter,
    musts,
    only,
    poison_of,
    set_aside,
    subscribed,
)
from ampybus_contract.harness.history import Anomaly, Event, HashedPayload, Operation

COPIES = 2


def dlq_lost(history: History, contract: Contract) -> list[Anomaly]:
    """Poison that is not in the DLQ exactly once, with all its bytes.

    What the contract has no DLQ for, or no consumer gets, may be there once or not at all.
    """
    found: list[Anomaly] = []
    due = {id(item) for item in due_letters(history, contract)}
    for poison, own in set_aside(history, contract):
        whole = any(letter.envelope.payload == poison.envelope.payload for letter in own)
        if not whole and id(poison) in due:
            said = "A message that nobody can process is not in the DLQ: it was dropped silently."
            found.append(Anomaly(said, (poison,)))
        elif len(own) > 1:
            said = "A message that nobody can process is in the DLQ more than once."
            found.append(Anomaly(said, (poison, *own)))
    return found


def dead_letter_changed(history: History, contract: Contract) -> list[Anomaly]:
    """A dead letter without its original headers and bytes, or with a wrong reason, origin or hash (D25).

    Poison of which no dead letter is left counts too: what is not there keeps nothing. Headers that the DLQ
    adds take the place of those that were there.
    """
    found: list[Anomaly] = []
    due = {id(item) for item in due_letters(history, contract)}
    for poison, own in set_aside(history, contract):
        if not own and id(poison) in due:
            found.append(Anomaly("No dead letter keeps the message.", (poison,)))
        for letter in own if has_a_dlq(poison.topic, contract) else ():
            wrong = [*_altered(poison, letter, contract), *_misstated(poison, letter, contract)]
            if letter.envelope.payload != poison.envelope.payload:
                found.append(Anomaly("The dead letter has other bytes.", (poison, letter)))
            elif wrong:
                names = ", ".join(dict.fromkeys(wrong))
                said = f"The dead letter differs from the message in: {names}."
                found.append(Anomaly(said, (poison, letter)))
    return found


def _altered(poison: Event, letter: Event, contract: Contract) -> list[str]:
    """The headers of a message that its dead letter lacks or has otherwise, and those it has of nobody's."""
    before, after = poison.envelope.headers, letter.envelope.headers
    added = contract.dead_letter.headers.values()
    changed = [name for name, value in before.items() if name not in added and after.get(name) != value]
    return changed + [
        name for name in after if name not in before and name not in contract.infrastructure_headers
    ]


def _misstated(poison: Event, letter: Event, contract: Contract) -> list[str]:
    """The headers that the DLQ added and that do not say what they must of the message."""
    added, headers = contract.dead_letter.headers, letter.envelope.headers
    wrong = [name for name in added.values() if name not in headers]
    wrong += [
        added["reason"]
        for finding in musts(letter, contract)
        if finding.where.removeprefix("headers.") == added["reason"]
    ]
    right = {added["origin"]: poison.topic}
    if not isinstance(poison.envelope.payload, HashedPayload):
        right[added["payload_hash"]] = decoded_digest(poison.envelope, contract)
    return wrong + [name for name, text in right.items() if headers.get(name, text) != text]


def dead_letter_misplaced(history: History, contract: Contract) -> list[Anomaly]:
    """A dead letter on another topic than that of the environment and domain it came from (DLT-07)."""
    found: list[Anomaly] = []
    for poison, own in set_aside(history, contract):
        if not has_a_dlq(poison.topic, contract):
            continue
        prefix, env, domain = poison.topic.split(".")[:3]
        right = fill(contract.dead_letter.topic, {"prefix": prefix, "env": env, "domain": domain})
        found += [
            Anomaly(f"The dead letter should be on {right}, it is on {letter.topic}.", (poison, letter))
            for letter in own
            if letter.topic != right
        ]
    return found


def dead_letter_unseen(history: History, contract: Contract) -> list[Anomaly]:
    """A dead letter that a consumer of its DLQ topic never got, whatever is wrong with it (DLT-04).

    It need not get another one with the same id or dedupe key (D23).
    """
    taken = [item for item in only(history, Operation.DELIVER) if is_dead_letter(item.topic, contract)]
    got = {(item.actor, item.id, item.envelope.payload) for item in taken}
    once = {(item.actor, name) for item in taken for name in _identities(item)}
    return [
        Anomaly(f"{actor} consumes the DLQ and never got this dead letter.", (poison, letter))
        for poison, own in set_aside(history, contract)
        if has_a_dlq(poison.topic, contract)
        for letter in own
        for actor, pattern in subscribed(history).items()
        if matches(pattern, letter.topic)
        and (actor, letter.id, letter.envelope.payload) not in got
        and not any((actor, name) in once for name in _identities(letter))
    ]


def _identities(item: Event) -> list[str]:
    """By what a consumer may take one message for another one's repeat."""
    identified = "message_id" in item.envelope.headers
    keyed = "dedupe_key" in item.envelope.headers
    return [item.id] * identified + [dedupe_of(item)] * keyed


def source_unacknowledged(history: History, _contract: Contract) -> list[Anomaly]:
    """A backlog that is left when all was settled: something is handed out for ever (D25).

    For scenarios that ask for the backlog last, after all had the time to be settled.
    """
    asked = only(history, Operation.BACKLOG)
    if not asked or asked[-1].count == 0:
        return []
    left = asked[-1].count
    return [Anomaly(f"{left} messages stayed unacknowledged when all was settled.", (asked[-1],))]


def poison_retried(history: History, contract: Contract) -> list[Anomaly]:
    """Poison that was handed to the handler or counted as retried; no retry can mend it (D24)."""
    found: list[Anomaly] = []
    buried = {id(poison): own for poison, own in set_aside(history, contract)}
    for poison, again in _handed_out(history, contract):
        before = poison.envelope.headers.get("retry_count", "0")
        counted = [
            letter
            for letter in buried[id(poison)]
            if letter is not poison and letter.envelope.headers.get("retry_count", "0") != before
        ]
        if again or counted:
            shown = (*again, *counted)[:2]
            found.append(Anomaly("A message that can never be decoded was tried again.", (poison, *shown)))
    return found


def poison_delivered(history: History, contract: Contract) -> list[Anomaly]:
    """Poison that was handed to the handler as if it could be processed, as it was or mended (D19).

    Dead letters are for their consumers, whatever is wrong with them.
    """
    return [
        Anomaly("A message that nobody can process was handed to the handler.", (poison, item))
        for poison, handed in _handed_out(history, contract)
        for item in handed
    ]


def _handed_out(history: History, contract: Contract) -> list[tuple[Event, list[Event]]]:
    """Poison that is no dead letter, with its deliveries: those of its id, else of its bytes."""
    valid = {item.id for item in history if acknowledged(item) and not musts(item, contract)}
    named, plain = defaultdict(list), defaultdict(list)
    for item in only(history, Operation.DELIVER):
        if item.id not in valid and not is_dead_letter(item.topic, contract):
            named[item.id].append(item)
            plain[_place(item)].append(item)
    return [
        (item, named[item.id] if item.id and item.id not in valid else plain[_place(item)])
        for item in poison_of(history, contract)
        if not is_dead_letter(item.topic, contract)
    ]


def _place(item: Event) -> tuple[str, bytes]:
    return item.topic, item.envelope.payload


def reason_wrong(history: History, contract: Contract) -> list[Anomaly]:
    """A dead letter whose reason code is not that of its poison: undecodable, or another violation (D25)."""
    rule = contract.dead_letter
    found: list[Anomaly] = []
    for poison, own in set_aside(history, contract):
        broken = {finding.requirement for finding in musts(poison, contract)}
        code = rule.codes["undecodable" if broken & rule.decode_requirements else "violation"]
        for letter in own if has_a_dlq(poison.topic, contract) else ():
            got = letter.envelope.headers.get(rule.headers["reason"], "none").partition(":")[0]
            if got != code:
                found.append(Anomaly(f"The reason should be {code}, it is {got}.", (poison, letter)))
    return found


def dlq_loop(history: History, contract: Contract) -> list[Anomaly]:
    """A dead letter that was dead-lettered again, because its own handling failed (D25).

    There may be one for each copy of its message on the wire.
    """
    seen: dict[tuple[str, bytes], list[Event]] = defaultdict(list)
    on_wire = copies(history, contract)
    found: list[Anomaly] = []
    for item in only(history, Operation.STORE):
        if not is_dead_letter(item.topic, contract):
            continue
        earlier = seen[item.id, item.envelope.payload]
        earlier.append(item)
        if len(earlier) > max(on_wire[item.id], 1):
            found.append(Anomaly("A message in the DLQ was put into the DLQ again.", (earlier[0], item)))
    return found


def other_key_blocked(history: History, contract: Contract) -> list[Anomaly]:
    """A message that was handed out only after one of another key was through, though it was there before.

    For scenarios that hold one message until the others are through.
    """
    began: dict[str, int] = {}
    held: list[tuple[int, int, Event]] = []
    stored: dict[str, tuple[int, Event]] = {}
    for position, item in enumerate(history):
        if acknowledged(item):
            stored.setdefault(item.id, (position, item))
        elif item.operation is Operation.DELIVER:
            began.setdefault(item.id, position)
        elif item.operation is Operation.EFFECT:
            held.append((began.get(item.id, position), position, item))
    start, end, blocker = max(held, key=lambda hold: hold[1] - hold[0], default=(0, 0, None))
    if blocker is None:
        return []
    return [
        Anomaly("A message had to wait for one of another key.", (item, blocker))
        for name, (position, item) in stored.items()
        if item.key != blocker.key
        and not musts(item, contract)
        and start < position < end
        and began.get(name, end) >= end
    ]


def acked_before_dead_letter(history: History, contract: Contract) -> list[Anomaly]:
    """Poison that was acknowledged while the DLQ took nothing: a crash now would lose it (D25)."""
    poisons = list(poison_of(history, contract))
    return [
        Anomaly("While the DLQ was unavailable the source was acknowledged.", (*poisons[:1], item))
        for item in only(history, Operation.BACKLOG)
        if poisons and item.count == 0
    ]


def redrive_wrong(history: History, contract: Contract) -> list[Anomaly]:
    """A dead letter that was redriven never or twice, or not as it first was (D25).

    On its origin topic a message must be there twice, as first stored and as redriven, alike in all.
    """
    if not only(history, Operation.REDRIVE):
        return []
    stored = only(history, Operation.STORE)
    buried = {item.id: item for item in stored if is_dead_letter(item.topic, contract)}
    others = defaultdict(list)
    for item in stored:
        if not is_dead_letter(item.topic, contract):
            others[item.id].append(item)
    found: list[Anomaly] = []
    for name, letter in buried.items():
        copies = others[name]
        if len(copies) != COPIES:
            said = f"After a redrive the message is stored {len(copies)} times, {COPIES} are right."
            found.append(Anomaly(said, (letter, *copies)))
        elif copies[0].envelope != copies[1].envelope:
            found.append(Anomaly("The redriven message is not as it first was.", tuple(copies)))
    return found
