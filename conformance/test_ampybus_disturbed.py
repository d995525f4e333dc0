"""Chapter Faults, on real brokers: consumers, brokers and links that fail and come back."""

from __future__ import annotations

import pytest

from ampybus_contract.harness import checkers, scenarios
from ampybus_contract.pytest_plugin import ConformanceCheck

LOSES_NOTHING = (
    checkers.lost_write,
    checkers.unseen,
    checkers.swallowed,
    checkers.definite_but_stored,
    checkers.not_resumed,
)


@pytest.mark.ampybus("FLT-01")
def test_a_killed_consumer_loses_nothing(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.killed_consumer, checkers.lost_write, checkers.unseen, checkers.swallowed)


@pytest.mark.ampybus("FLT-02")
def test_a_broker_that_is_killed_and_started_again(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.killed_broker, *LOSES_NOTHING)


@pytest.mark.ampybus("FLT-03")
def test_a_broker_that_stands_still(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.paused_broker, *LOSES_NOTHING)


@pytest.mark.ampybus("FLT-04")
def test_a_link_that_is_cut_and_healed(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.cut_link, *LOSES_NOTHING)


@pytest.mark.ampybus("FLT-05")
def test_a_slow_link_that_breaks(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.slow_link, *LOSES_NOTHING)


@pytest.mark.ampybus("FLT-10")
def test_what_a_handler_did_not_finish_comes_again(ampybus: ConformanceCheck) -> None:
    ampybus(
        scenarios.unfinished,
        checkers.acked_before_done,
        checkers.never_again,
        checkers.lost_write,
        checkers.swallowed,
    )


@pytest.mark.ampybus("FLT-09")
def test_progress_resumes_in_time(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.healed_link, checkers.wedged)
