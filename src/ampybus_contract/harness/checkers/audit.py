"""Sessions against what was stored, and findings of an auditor against what was done (D37)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from ampybus_contract.contract import Contract
from ampybus_contract.envelope.digest import decoded_digest
from ampybus_contract.envelope.pattern import matches
from ampybus_contract.harness.checkers.reading import History, only
from ampybus_contract.harness.history import Anomaly, Event, Operation


def session_differs(history: History, _contract: Contract) -> list[Anomaly]:
    """A captured session that is not what was stored: a record is absent, strange, changed or out of order.

    The order is that of each key: a broker with partitions has no other. Sample: store a, store b, capture b.
    """
    captured = only(history, Operation.CAPTURE)
    if not captured:
        return [Anomaly("No record was captured.", tuple(history[:1]))]
    found: list[Anomaly] = []
    for pattern in dict.fromkeys(item.pattern for item in captured):
        kept = [item for item in captured if item.pattern == pattern]
        stored = [item for item in only(history, Operation.STORE) if matches(pattern, item.topic)]
        wrong = next((item for number, item in enumerate(kept, 1) if item.count != number), None)
        if wrong is not None:
            sentence = f"Record {kept.index(wrong) + 1} of the session has the number {wrong.count}."
            found.append(Anomaly(sentence, (wrong,)))
        there, here = _by_key(stored), _by_key(kept)
        for key in {**there, **here}:
            found += _differences(there[key], here[key])
    return found


def _by_key(events: Iterable[Event]) -> dict[tuple[str, str], list[Event]]:
    found: dict[tuple[str, str], list[Event]] = defaultdict(list)
    for item in events:
        found[item.topic, item.key].append(item)
    return found


def _differences(stored: list[Event], kept: list[Event]) -> Iterator[Anomaly]:
    for there, here in zip(stored, kept, strict=False):
        if there.envelope != here.envelope:
            yield Anomaly(f"Record {here.count} of the session is not what was stored there.", (there, here))
            return
    if len(stored) != len(kept):
        odd = max(stored, kept, key=len)[min(len(stored), len(kept))]
        sentence = f"{len(stored)} records of a key were stored, the session has {len(kept)}."
        yield Anomaly(sentence, (odd,))


def hash_wrong(history: History, contract: Contract) -> list[Anomaly]:
    """A hash in a session, or in a dead letter of one, that is not that of the decoded payload (D13).

    Sample: capture a with the hash of its compressed payload.
    """
    header = contract.dead_letter.headers["payload_hash"]
    found = []
    for item in only(history, Operation.CAPTURE):
        right = decoded_digest(item.envelope, contract)
        if item.error != right:
            found.append(Anomaly("A record has another payload hash than its decoded payload.", (item,)))
        if item.envelope.headers.get(header, right) != right:
            found.append(Anomaly("A dead letter has another payload hash than its payload.", (item,)))
    return found or session_differs(history, contract)


def damage_unnamed(history: History, _contract: Contract) -> list[Anomaly]:
    """An audit that does not name a record that was changed, taken out or doubled, or names another one.

    Sample: tamper record 2, audit finds nothing.
    """
    done: set[tuple[str, int]] = set()
    audits: list[tuple[set[tuple[str, int]], set[tuple[str, int]], list[Event]]] = []
    for item in history:
        if item.operation is Operation.TAMPER:
            done.add((item.error, item.count))
        elif item.operation is Operation.AUDIT and not item.error:
            audits.append((set(done), set(), [item]))
        elif item.operation is Operation.AUDIT:
            audits[-1][1].add((item.error, item.count))
            audits[-1][2].append(item)
    if not any(wanted for wanted, _, _ in audits):
        return [Anomaly("No damaged session was audited.", tuple(history[:1]))]
    found = []
    for wanted, named, events in audits:
        for damage, number in sorted(wanted - named):
            found.append(Anomaly(f"The audit does not name record {number}: {damage}.", tuple(events)))
        for damage, number in sorted(named - wanted):
            found.append(Anomaly(f"The audit says of record {number}: {damage}. It is not.", tuple(events)))
    return found
