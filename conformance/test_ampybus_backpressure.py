"""Chapter Backpressure: what is too much waits, the least urgent first, and nothing is lost."""

from __future__ import annotations

import pytest

from ampybus_contract.harness import checkers, scenarios
from ampybus_contract.pytest_plugin import ConformanceCheck


@pytest.mark.ampybus("BPR-01")
def test_what_is_in_flight_is_bounded(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.held_handlers, checkers.in_flight_exceeded, checkers.swallowed)


@pytest.mark.ampybus("BPR-02")
def test_lag_is_reported_and_true(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.behind, checkers.lag_wrong, checkers.swallowed)


@pytest.mark.ampybus("BPR-03")
def test_low_priorities_slow_down_first(ampybus: ConformanceCheck) -> None:
    ampybus(
        scenarios.slowed_producer,
        checkers.priority_inverted,
        checkers.nothing_slowed,
        checkers.lost_write,
        checkers.unseen,
    )


@pytest.mark.ampybus("BPR-04")
def test_a_slow_consumer_loses_nothing(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.slow_consumer, checkers.lost_write, checkers.unseen, checkers.swallowed)
