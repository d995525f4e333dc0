"""Chapter Retry and DLQ: what cannot be processed is set aside, whole, and at once."""

from __future__ import annotations

import pytest

from ampybus_contract.harness import checkers, scenarios
from ampybus_contract.pytest_plugin import ConformanceCheck


@pytest.mark.ampybus("DLQ-03")
def test_a_dead_letter_keeps_headers_and_bytes(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.poison, checkers.dead_letter_changed)


@pytest.mark.ampybus("DLQ-04")
def test_each_kind_of_poison_lands_once(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.poison, checkers.dlq_lost)


@pytest.mark.ampybus("DLQ-05")
def test_poison_is_not_retried(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.poison, checkers.poison_retried)


@pytest.mark.ampybus("DLQ-11")
def test_what_arrives_broken_is_set_aside_once(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.broken_arrivals, *SET_ASIDE, checkers.source_unacknowledged)


@pytest.mark.ampybus("DLQ-12")
def test_a_consumer_of_everything_sets_aside_what_is_broken(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.broken_arrivals_everywhere, *SET_ASIDE, checkers.dlq_loop)


SET_ASIDE = (
    checkers.poison_delivered,
    checkers.dlq_lost,
    checkers.dead_letter_misplaced,
    checkers.reason_wrong,
    checkers.dead_letter_changed,
    checkers.dead_letter_unseen,
    checkers.poison_retried,
    checkers.key_reordered,
    checkers.lost_write,
    checkers.unseen,
)
