"""What became of a message that its handler did not apply: again, or set aside, and counted right."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import cache, partial

from ampybus_contract.bindings.protocol import Settlement
from ampybus_contract.contract import Contract
from ampybus_contract.envelope.pattern import matches
from ampybus_contract.harness.checkers.reading import (
    History,
    copies,
    dedupe_of,
    is_dead_letter,
    musts,
    only,
    subscribed,
    taken,
    undisturbed,
)
from ampybus_contract.harness.checkers.retries import NOISE_SECONDS
from ampybus_contract.harness.history import Anomaly, Event, Operation

Life = tuple[str, str]
SPOILED = (Operation.REPLACE, Operation.REMOVE)


def attempts_exceeded(history: History, contract: Contract) -> list[Anomaly]:
    """A message that its handler failed more often than the tier of its domain allows (D24).

    Each copy on the wire may be tried so often; a disturbed broker or binding may begin anew.
    """
    if not undisturbed(history):
        return []
    on_wire = copies(history, contract)
    return [
        Anomaly(
            f"A handler was given a message {len(tries)} times, {bound} are allowed.", (tries[0], tries[-1])
        )
        for (_actor, name), tries in _failures(history, contract).items()
        if len(tries) > (bound := _attempts(tries[0], contract) * max(on_wire[name], 1))
    ]


def rejected_again(history: History, contract: Contract) -> list[Anomaly]:
    """A message that its handler refused for good and was given again."""
    if not undisturbed(history):
        return []
    on_wire = copies(history, contract)
    refused: dict[Life, Event] = {}
    found: list[Anomaly] = []
    for item in history:
        life = (item.actor, item.id)
        if item.operation is Operation.SETTLE and item.error == Settlement.REJECT:
            refused.setdefault(life, item)
        elif item.operation is Operation.DELIVER and life in refused and on_wire[item.id] <= 1:
            said = f"{item.actor} refused a message for good, and was given it again."
            found.append(Anomaly(said, (refused[life], item)))
    return found


def failure_abandoned(history: History, contract: Contract) -> list[Anomaly]:
    """A message whose handler asked for another try, or raised, and got none although there was time."""
    return [
        Anomaly(f"The handler did not finish ({last.error}), and the message never came again.", (last,))
        for last, tries in _given_up(history, contract)
        if last.error != Settlement.REJECT and tries < _attempts(last, contract)
    ]


def failure_lost(history: History, contract: Contract) -> list[Anomaly]:
    """A message that failed as often as it may, or was refused for good, and is in no dead letter (D25)."""
    return [
        Anomaly(f"A message that failed for good ({last.error}) is not in the DLQ.", (last,))
        for last, tries in _given_up(history, contract)
        if last.error == Settlement.REJECT or tries >= _attempts(last, contract)
    ]


def unapplied(history: History, contract: Contract) -> list[Anomaly]:
    """A stored message that a group never applied although it covers its topic and did not fail it.

    After a redrive nothing counts as failed any more.
    """
    failed = {} if only(history, Operation.REDRIVE) else _failures(history, contract)
    applied: dict[str, set[str]] = defaultdict(set)
    for item in only(history, Operation.EFFECT):
        applied[item.actor] |= {item.id, dedupe_of(item)}
    due = [(item, item.id, dedupe_of(item)) for item in taken(history) if not musts(item, contract)]
    found: list[Anomaly] = []
    for actor, pattern in subscribed(history).items():
        fits, known = cache(partial(matches, pattern)), applied[actor]
        found += [
            Anomaly(f"{actor} never applied a message that is stored for it.", (item,))
            for item, name, dedupe in due
            if fits(item.topic) and name not in known and dedupe not in known and (actor, name) not in failed
        ]
    return found


def letter_uncaused(history: History, contract: Contract) -> list[Anomaly]:
    """A dead letter of a good message that no handler failed."""
    if any(only(history, operation) for operation in SPOILED):
        return []
    failed = {item.id for item in only(history, Operation.SETTLE)}
    known = {item.id: item for item in history if item.operation in (Operation.PUBLISH, Operation.INJECT)}
    spoiled = {
        item.id
        for operation in (Operation.PUBLISH, Operation.INJECT)
        for item in only(history, operation)
        if musts(item, contract) or any(name in item.envelope.headers for name in contract.pointer_headers)
    }
    return [
        Anomaly("A good message that no handler failed is in the DLQ.", (known[letter.id], letter))
        for letter in only(history, Operation.STORE)
        if is_dead_letter(letter.topic, contract)
        and letter.id in known
        and letter.id not in failed
        and letter.id not in spoiled
        and not is_dead_letter(known[letter.id].topic, contract)
    ]


def letter_reason_untrue(history: History, contract: Contract) -> list[Anomaly]:
    """A dead letter whose reason code is not that of how its handler ended: refused, or tried to the end."""
    rule = contract.dead_letter
    ends: dict[str, set[str]] = defaultdict(set)
    for (_actor, name), tries in _failures(history, contract).items():
        ends[name].add(rule.codes["rejected" if tries[-1].error == Settlement.REJECT else "exhausted"])
    failed = {item.id: item for item in only(history, Operation.SETTLE)}
    found: list[Anomaly] = []
    for letter in only(history, Operation.STORE):
        if letter.id not in ends or not is_dead_letter(letter.topic, contract):
            continue
        got = letter.envelope.headers.get(rule.headers["reason"], "none").partition(":")[0]
        if got not in ends[letter.id]:
            wanted = " or ".join(sorted(ends[letter.id]))
            found.append(Anomaly(f"The reason should be {wanted}, it is {got}.", (failed[letter.id], letter)))
    return found


def retry_uncounted(history: History, _contract: Contract) -> list[Anomaly]:
    """A delivery after a failed one whose retry_count is not one more, or a first one that counts (D24)."""
    if not undisturbed(history):
        return []
    last: dict[Life, Event] = {}
    failed: dict[Life, bool] = {}
    sent = {
        item.id: _count(item)
        for operation in (Operation.PUBLISH, Operation.INJECT)
        for item in only(history, operation)
    }
    found: list[Anomaly] = []
    for item in history:
        life = (item.actor, item.id)
        if item.operation is Operation.SETTLE:
            failed[life] = item.error != Settlement.REJECT
        elif item.operation is Operation.EFFECT:
            failed[life] = False
        elif item.operation is Operation.DELIVER:
            before = last.get(life)
            got, allowed = _count(item), {0}
            if before is not None and failed.get(life, True):
                allowed = {_count(before) + 1} if life in failed else {0, _count(before), _count(before) + 1}
                allowed |= {0} if _count(before) > 0 else set()
            if before is None:
                allowed = {0, sent.get(item.id, 0)}
            if got not in allowed:
                wanted = " or ".join(map(str, sorted(allowed)))
                shown = (item,) if before is None else (before, item)
                found.append(Anomaly(f"retry_count should be {wanted}, it is {got}.", shown))
            last[life] = item
            failed.pop(life, None)
    return found


def _count(item: Event) -> int:
    text = item.envelope.headers.get("retry_count", "0")
    return int(text) if text.isdecimal() else -1


def _given_up(history: History, contract: Contract) -> Iterator[tuple[Event, int]]:
    """The last failure of each message that neither took effect, came again nor was buried, and how many.

    Only what had time: the longest pause before another try was over when the history ended.
    """
    if not history or not undisturbed(history):
        return
    buried = {item.id for item in only(history, Operation.STORE) if is_dead_letter(item.topic, contract)}
    ended = {(item.actor, item.id): item.at for item in only(history, Operation.EFFECT)}
    again = {(item.actor, item.id): item.at for item in only(history, Operation.DELIVER)}
    end = max(item.at for item in history)
    for life, tries in _failures(history, contract).items():
        last = tries[-1]
        rule = contract.retry_of(last.topic.split(".")[2])
        waited = (end - last.at) / 1e9
        over = life in ended or again.get(life, -1) > last.at or life[1] in buried
        if not over and waited > rule.backoff_max + NOISE_SECONDS:
            yield last, len(tries)


def _attempts(item: Event, contract: Contract) -> int:
    return contract.retry_of(item.topic.split(".")[2]).attempts


def _failures(history: History, contract: Contract) -> dict[Life, list[Event]]:
    """What handlers answered for each message that they did not apply, dead letters aside."""
    found: dict[Life, list[Event]] = defaultdict(list)
    for item in only(history, Operation.SETTLE):
        tokens = item.topic.split(".")
        if len(tokens) > 2 and tokens[2] in contract.domains and not is_dead_letter(item.topic, contract):
            found[item.actor, item.id].append(item)
    return found
