"""What must hold in every history, whatever was played: each invariant under the check that it belongs to."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from ampybus_contract.contract import Contract
from ampybus_contract.harness.checkers import (
    dead_letters,
    delivery,
    envelope,
    handling,
    idempotency,
    logs,
    metrics,
    ordering,
    positions,
    publishing,
    replay,
    telling,
    tracing,
    wire,
)
from ampybus_contract.harness.checkers.reading import Checker, History
from ampybus_contract.harness.history import Anomaly


@dataclass(frozen=True, slots=True)
class Invariant:
    """A checker that holds for any history, the check that it is reported under, and when it applies.

    It applies where the binding claims all of ``claims`` and none of ``unless``, and what its check asks for.
    """

    checker: Checker
    check: str
    claims: frozenset[str] = frozenset()
    unless: frozenset[str] = frozenset()

    def applies(self, claimed: Collection[str], contract: Contract) -> bool:
        """Whether a binding with these claims must keep it."""
        rule = contract.checks.get(self.check)
        if rule is None:
            return False
        wanted = self.claims | ({rule.claim} if rule.claim else set())
        return wanted <= set(claimed) and self.unless.isdisjoint(claimed)


INVARIANTS = (
    Invariant(envelope.required_header_missing, "ENV-01"),
    Invariant(envelope.required_header_altered, "ENV-01"),
    Invariant(publishing.id_invented, "ENV-02"),
    Invariant(envelope.unknown_header_changed, "ENV-05"),
    Invariant(envelope.payload_changed, "ENV-06"),
    Invariant(wire.wire_changed, "ENV-08"),
    Invariant(wire.unstored, "ENV-08"),
    Invariant(envelope.mapped_otherwise, "ENV-08"),
    Invariant(envelope.header_changed, "ENV-10"),
    Invariant(wire.span_rewritten, "ENV-10", unless=frozenset({"tracing"})),
    Invariant(delivery.cross_env, "TOP-02", claims=frozenset({"dlq"})),
    Invariant(delivery.lost_write, "TOP-04"),
    Invariant(delivery.outside_pattern, "TOP-04"),
    Invariant(positions.poll_skip, "TOP-04"),
    Invariant(envelope.topic_changed, "TOP-05"),
    Invariant(ordering.key_reordered, "ORD-01"),
    Invariant(positions.nonmonotonic, "ORD-02"),
    Invariant(ordering.effect_reordered, "ORD-03"),
    Invariant(idempotency.duplicate_effect, "IDM-01"),
    Invariant(idempotency.dedupe_repeated, "IDM-02"),
    Invariant(publishing.refused_at_last_but_stored, "FLT-06"),
    Invariant(handling.attempts_exceeded, "DLQ-01"),
    Invariant(handling.failure_abandoned, "DLQ-01"),
    Invariant(wire.letter_differs, "DLQ-03"),
    Invariant(handling.letter_reason_untrue, "DLQ-03", claims=frozenset({"retry"})),
    Invariant(dead_letters.dlq_lost, "DLQ-04"),
    Invariant(handling.failure_lost, "DLQ-04", claims=frozenset({"retry"})),
    Invariant(handling.letter_uncaused, "DLQ-04"),
    Invariant(dead_letters.poison_delivered, "DLQ-05"),
    Invariant(handling.rejected_again, "DLQ-05"),
    Invariant(dead_letters.dlq_loop, "DLQ-07"),
    Invariant(handling.retry_uncounted, "DLQ-08"),
    Invariant(telling.where_watched(metrics.counter_wrong), "OBS-02"),
    Invariant(telling.where_watched(telling.size_wrong), "OBS-02"),
    Invariant(telling.where_watched(tracing.trace_broken), "OBS-04"),
    Invariant(telling.where_watched(tracing.span_missing), "OBS-04"),
    Invariant(telling.where_watched(telling.span_untrue), "OBS-04"),
    Invariant(telling.where_watched(logs.log_incomplete), "OBS-05"),
    Invariant(telling.where_watched(telling.log_untrue), "OBS-05"),
    Invariant(replay.replay_outside_window, "RPL-01"),
    Invariant(replay.replay_outside_scope, "RPL-02"),
    Invariant(replay.replay_cross_env, "RPL-06"),
    Invariant(replay.replay_unrequested, "RPL-06"),
    Invariant(replay.replay_changed, "RPL-03"),
)


def broken_invariants(
    history: History, contract: Contract, claimed: Collection[str]
) -> Iterator[tuple[str, list[Anomaly]]]:
    """For each invariant that a history breaks, its check and what shows it."""
    for item in INVARIANTS:
        if item.applies(claimed, contract):
            found = item.checker(history, contract)
            if found:
                yield item.check, found
