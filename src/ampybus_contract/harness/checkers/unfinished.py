"""Messages that their handler did not finish (D43)."""

from __future__ import annotations

from ampybus_contract.contract import Contract
from ampybus_contract.harness.checkers.reading import History
from ampybus_contract.harness.history import Anomaly, Event, Operation


def never_again(history: History, _contract: Contract) -> list[Anomaly]:
    """A message that its handler did not finish and that its group never got again, whatever is claimed.

    Sample: deliver a, unfinished a, nothing more of a.
    """
    places = [n for n, item in enumerate(history) if item.operation is Operation.UNFINISHED]
    return [
        Anomaly(
            f"It never came again after {history[place].error}: the message was acknowledged although the "
            "handler was not done with it.",
            (*_delivery(history[:place], history[place]), history[place]),
        )
        for place in places
        if not _delivery(history[place + 1 :], history[place])
    ]


def acked_before_done(history: History, _contract: Contract) -> list[Anomaly]:
    """All is acknowledged, the broker says, while a handler is at work.

    Sample: deliver a, backlog 0, effect a.
    """
    working: dict[tuple[str, str], Event] = {}
    found = []
    for item in history:
        if item.operation is Operation.DELIVER:
            working[item.actor, item.id] = item
        elif item.operation in (Operation.EFFECT, Operation.UNFINISHED):
            working.pop((item.actor, item.id), None)
        elif item.operation is Operation.BACKLOG and item.count == 0:
            found += [Anomaly(EARLY, (delivery, item)) for delivery in working.values()]
    return found


EARLY = (
    "The message was acknowledged before its handler was done: while the handler was still at work, the "
    "broker had nothing left that it could hand out again. A process that is killed then, or a handler that "
    "raises, loses the message."
)


def _delivery(history: History, item: Event) -> list[Event]:
    """The last delivery of the same message to the same group, if there is one."""
    return [
        other
        for other in history
        if other.operation is Operation.DELIVER and (other.actor, other.id) == (item.actor, item.id)
    ][-1:]
