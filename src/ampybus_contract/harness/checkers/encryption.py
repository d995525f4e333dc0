"""Connections that should not be (section 17, D35)."""

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
