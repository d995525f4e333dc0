"""How long messages took from the time that they were to be sent, to their first delivery (D38)."""

from __future__ import annotations

from ampybus_contract.contract import Contract
from ampybus_contract.harness.checkers.reading import History, only
from ampybus_contract.harness.history import UNKNOWN, Anomaly, Operation, Outcome
from ampybus_contract.harness.measurements import percentile


def latencies(history: History) -> list[int]:
    """Nanoseconds of each message that was published by a plan and delivered, in ascending order."""
    due = {
        item.id: item.due
        for item in only(history, Operation.PUBLISH)
        if item.outcome is Outcome.INVOKE and item.due != UNKNOWN
    }
    found = []
    for item in only(history, Operation.DELIVER):
        begun = due.pop(item.id, UNKNOWN)
        if begun != UNKNOWN:
            found.append(item.at - begun)
    return sorted(found)


def stall_hidden(history: History, contract: Contract) -> list[Anomaly]:
    """A measurement in which a consumer's standstill does not show: its percentile is below half of it.

    Sample: fault of 250 ms, each message published when the one before has been delivered.
    """
    rule = contract.service_levels
    stalls = [item for item in only(history, Operation.FAULT) if item.count]
    if not stalls:
        return [Anomaly("Nothing stood still, so nothing could show.", tuple(history[:1]))]
    found = latencies(history)
    if len(found) < rule.minimum_samples:
        said = f"{len(found)} messages were measured, {rule.minimum_samples} are needed."
        return [Anomaly(said, (stalls[0],))]
    share = min(objective.percentile for objective in rule.latency.values())
    measured, stall = percentile(found, share) / 1e6, stalls[0].count
    if measured < stall / 2:
        said = f"p{share} is {measured:.1f} ms, although the consumer stood still for {stall} ms."
        return [Anomaly(said, (stalls[0],))]
    return []
