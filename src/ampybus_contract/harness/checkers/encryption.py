"""Connections that should not be, and such as do not come back (section 17, D35)."""

from __future__ import annotations

from ampybus_contract.contract import Contract
from ampybus_contract.harness.checkers.reading import History, only
from ampybus_contract.harness.history import Anomaly, Event, Operation, Outcome


def stranger_trusted(history: History, _contract: Contract) -> list[Anomaly]:
    """A binding that publishes where it must not, tells a stranger anything, or keeps from the right server.

    Sample: connect to a server with a certificate of another host ok.
    """
    found: list[Anomaly] = []
    met = only(history, Operation.CONNECT)
    for item in met:
        sentence = _wrong(item)
        if sentence:
            found.append(Anomaly(sentence, (item,)))
    if not any(item.pattern for item in met):
        found.append(Anomaly("Nothing was met that is to be refused.", tuple(history[:1])))
    return found


def not_resumed(history: History, _contract: Contract) -> list[Anomaly]:
    """Nothing is published, or nothing takes effect, after the last fault, which was healed at once.

    Sample: fault, publish a info, publish b info.
    """
    faults = [position for position, item in enumerate(history) if item.operation is Operation.FAULT]
    if not faults:
        return [Anomaly("Nothing was disturbed, so nothing could resume.", tuple(history[:1]))]
    last, later = history[faults[-1]], history[faults[-1] :]
    stored = {item.id for item in later if item.operation is Operation.PUBLISH and item.outcome is Outcome.OK}
    if not stored:
        failed = [item for item in later if item.operation is Operation.PUBLISH][-1:]
        return [Anomaly(f"No publish was acknowledged any more after {last.error}.", (last, *failed))]
    applied = {item.id for item in later if item.operation is Operation.EFFECT}
    if not stored & applied:
        return [Anomaly(f"Nothing took effect any more after {last.error}.", (last,))]
    return []


def _wrong(item: Event) -> str:
    if not item.pattern:
        return "" if item.outcome is Outcome.OK else f"The right server was refused: {item.error}"
    if item.outcome is Outcome.OK:
        return f"The binding published in spite of this: {item.pattern}."
    if item.count:
        return f"The binding sent {item.count} bytes to a stranger, in spite of this: {item.pattern}."
    if item.outcome is Outcome.INFO:
        return f"The binding gave no answer in time: {item.pattern}."
    return ""
