"""Chapter Idempotency: a message takes effect once, and only duplicates are dropped."""

from __future__ import annotations

import pytest

from ampybus_contract.harness import checkers, scenarios
from ampybus_contract.pytest_plugin import ConformanceCheck


@pytest.mark.ampybus("IDM-01")
def test_one_id_takes_effect_once(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.duplicates, checkers.duplicate_effect)


@pytest.mark.ampybus("IDM-06")
def test_distinct_messages_are_not_swallowed(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.keyed_stream, checkers.swallowed)


@pytest.mark.ampybus("IDM-02")
def test_one_dedupe_key_takes_effect_once(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.same_dedupe_key, checkers.dedupe_repeated, checkers.swallowed)


@pytest.mark.ampybus("IDM-07")
def test_the_case_of_an_id_does_not_matter(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.other_case, checkers.duplicate_effect, checkers.swallowed)


@pytest.mark.ampybus("IDM-03")
def test_a_crash_before_the_ack_gives_one_effect(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.crash_before_ack, checkers.duplicate_effect, checkers.swallowed)


@pytest.mark.ampybus("IDM-04")
def test_a_duplicate_after_the_brokers_window_has_no_effect(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.after_the_window, checkers.duplicate_effect, checkers.swallowed)


@pytest.mark.ampybus("IDM-05")
def test_another_attempt_is_the_same_message(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.lost_ack, checkers.id_invented, checkers.lost_write, checkers.unseen)


@pytest.mark.ampybus("IDM-08")
def test_duplicates_retries_and_redrives_give_one_effect(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.duplicates_of_dead_letters, checkers.duplicate_effect, checkers.swallowed)


@pytest.mark.ampybus("IDM-09")
def test_repeats_have_one_effect_everywhere_and_however_late(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.repeats, checkers.unapplied, checkers.duplicate_effect, checkers.dedupe_repeated)
