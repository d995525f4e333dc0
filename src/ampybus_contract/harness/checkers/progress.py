"""What goes on after a fault has ended (section 13, D39)."""

from __future__ import annotations

from ampybus_contract.contract import Contract
from ampybus_contract.harness.checkers.reading import History, only
from ampybus_contract.harness.history import Anomaly, Operation, Outcome


def not_resumed(history: History, contract: Contract) -> list[Anomaly]:
    """Nothing is published, or nothing takes effect, after the last fault, which was healed at once.

    Sample: fault, publish a info, publish b info.
    """
    faults = [position for position, item in enumerate(history) if item.operation is Operation.FAULT]
    if not faults:
        return [Anomaly("Nothing was disturbed, so nothing could resume.", tuple(history[:1]))]
    return stuck(history, contract)


def stuck(history: History, _contract: Contract) -> list[Anomaly]:
    """As ``not_resumed``, of a history that has a fault; nothing in one that has none."""
    faults = [position for position, item in enumerate(history) if item.operation is Operation.FAULT]
    if not faults:
        return []
    last, later = history[faults[-1]], history[faults[-1] :]
    stored = {item.id for item in later if item.operation is Operation.PUBLISH and item.outcome is Outcome.OK}
    if not stored:
        failed = [item for item in later if item.operation is Operation.PUBLISH][-1:]
        return [Anomaly(f"No publish was acknowledged any more after {last.error}.", (last, *failed))]
    applied = {item.id for item in later if item.operation is Operation.EFFECT}
    if not stored & applied:
        return [Anomaly(f"Nothing took effect any more after {last.error}.", (last,))]
    return []


def wedged(history: History, contract: Contract) -> list[Anomaly]:
    """As ``not_resumed``; or publishing or delivery resumes later than the contract's recovery time.

    Sample: fault, publish a ok 1,000 s later.
    """
    stuck = not_resumed(history, contract)
    if stuck:
        return stuck
    last = only(history, Operation.FAULT)[-1]
    bound = contract.service_levels.recovery_time_seconds
    firsts = [
        next(item for item in only(history, operation) if item.outcome is Outcome.OK and item.at > last.at)
        for operation in (Operation.PUBLISH, Operation.EFFECT)
    ]
    return [
        Anomaly(f"It took {(item.at - last.at) / 1e9:.1f} s to go on, the bound is {bound} s.", (last, item))
        for item in firsts
        if item.at - last.at > bound * 1e9
    ]
