"""Chapter Retry and DLQ: what fails is tried again, a bounded number of times, and blocks nothing else."""

from __future__ import annotations

import pytest

from ampybus_contract.harness import checkers, scenarios
from ampybus_contract.pytest_plugin import ConformanceCheck


@pytest.mark.ampybus("DLQ-01")
def test_attempts_are_bounded(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.hopeless, checkers.attempts_wrong)


@pytest.mark.ampybus("DLQ-02")
def test_the_pauses_between_attempts_grow(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.hopeless, checkers.backoff_wrong, checkers.backoff_unjittered)


@pytest.mark.ampybus("DLQ-07")
def test_dead_letters_do_not_loop(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.failing_dead_letters, checkers.dlq_loop, checkers.dlq_lost)


@pytest.mark.ampybus("DLQ-08")
def test_retry_count_counts(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.keyed_stream_with_retries, checkers.retry_count_wrong, checkers.swallowed)


@pytest.mark.ampybus("DLQ-10")
def test_a_failing_message_blocks_only_its_key(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.held_key, checkers.other_key_blocked, checkers.lost_write, checkers.unseen)


@pytest.mark.ampybus("DLQ-06")
def test_a_source_waits_for_its_dead_letter(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.dead_letter_outage, checkers.acked_before_dead_letter, checkers.dlq_lost)


@pytest.mark.ampybus("DLQ-09")
def test_a_redrive_restores_a_message_once(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.redriven, checkers.redrive_wrong, checkers.duplicate_effect, checkers.swallowed)


@pytest.mark.ampybus("DLQ-13")
def test_however_a_handler_ends_its_message_is_accounted_for(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.endings, checkers.unapplied)
