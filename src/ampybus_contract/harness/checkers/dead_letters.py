"""Messages that nobody can process, and what became of them."""

from __future__ import annotations

from collections import defaultdict

from ampybus_contract.contract import Contract
from ampybus_contract.harness.checkers.reading import (
    History,
    acknowledged,
    copies,
    is_dead_letter,
    letters,
    musts,
    only,
    poison_of,
)
from ampybus_contract.harness.history import Anomaly, Event, Operation
from ampybus_contract.validation import validate

COPIES = 2


def dlq_lost(history: History, contract: Contract) -> list[Anomaly]:
    """Poison that is not in the DLQ exactly once; messages are told apart by their payload."""
    found: list[Anomaly] = []
    buried = letters(history, contract)
    for poison in poison_of(history, contract):
        own = buried[poison.envelope.payload]
        if len(own) != 1:
            said = "is not in the DLQ: it was dropped silently" if not own else "is there more than once"
            found.append(Anomaly(f"A message that nobody can process {said}.", (poison, *own)))
    return found


def dead_letter_changed(history: History, contract: Contract) -> list[Anomaly]:
    """A dead letter without its original headers and bytes, or with a wrong reason, origin or hash (D25).

    Poison whose bytes are in no dead letter counts too: what is not there keeps nothing.
    """
    found: list[Anomaly] = []
    added = contract.dead_letter.headers
    buried = letters(history, contract)
    by_id = {item.id: item for items in buried.values() for item in items}
    for poison in poison_of(history, contract):
        own = buried[poison.envelope.payload]
        if not own:
            cut = [by_id[poison.id]] if poison.id in by_id else []
            said = "The dead letter has other bytes." if cut else "No dead letter keeps the message."
            found.append(Anomaly(said, (poison, *cut)))
        for letter in own:
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
    buried, handed = letters(history, contract), defaultdict(list)
    for item in only(history, Operation.DELIVER):
        handed[item.topic, item.envelope.payload].append(item)
    for poison in poison_of(history, contract):
        again = handed[poison.topic, poison.envelope.payload]
        counted = [
            letter
            for letter in buried[poison.envelope.payload]
            if letter.envelope.headers.get("retry_count", "0") != "0"
        ]
        if again or counted:
            shown = (*again, *counted)[:2]
            found.append(Anomaly("A message that can never be decoded was tried again.", (poison, *shown)))
    return found


def poison_delivered(history: History, contract: Contract) -> list[Anomaly]:
    """Poison that was handed to the handler as if it could be read (D19)."""
    handed = defaultdict(list)
    for item in only(history, Operation.DELIVER):
        handed[item.topic, item.id].append(item)
    return [
        Anomaly("A message that cannot be decoded was handed to the handler.", (poison, item))
        for poison in poison_of(history, contract)
        for item in handed[poison.topic, poison.id]
    ]


def reason_wrong(history: History, contract: Contract) -> list[Anomaly]:
    """A dead letter whose reason code is not that of its poison: undecodable, or another violation (D25)."""
    rule = contract.dead_letter
    found: list[Anomaly] = []
    buried = letters(history, contract)
    for poison in poison_of(history, contract):
        broken = {finding.requirement for finding in musts(poison, contract)}
        code = rule.codes["undecodable" if broken & rule.decode_requirements else "violation"]
        for letter in buried[poison.envelope.payload]:
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
            held.append((began[item.id], position, item))
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
