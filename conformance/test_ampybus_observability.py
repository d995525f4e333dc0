"""Chapter Observability: what a binding tells of its work is named as agreed, true, and not too much."""

from __future__ import annotations

import pytest

from ampybus_contract.harness import checkers, scenarios
from ampybus_contract.pytest_plugin import ConformanceCheck


@pytest.mark.ampybus("OBS-01")
def test_the_metrics_have_their_names_and_labels(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.busy, checkers.metric_misnamed)


@pytest.mark.ampybus("OBS-02")
def test_counters_equal_what_happened(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.busy, checkers.counter_wrong)


@pytest.mark.ampybus("OBS-03")
def test_reasons_are_declared_codes(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.busy, checkers.reason_undeclared)


@pytest.mark.ampybus("OBS-04")
def test_a_trace_goes_on_through_retry_dead_letter_and_redrive(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.redriven, checkers.span_missing, checkers.trace_broken)


@pytest.mark.ampybus("OBS-05")
def test_log_records_are_whole_and_hold_no_payload(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.busy, checkers.log_incomplete, checkers.payload_logged)


@pytest.mark.ampybus("OBS-06")
def test_the_lag_gauge_is_what_the_broker_says(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.stuck, checkers.lag_stale)


@pytest.mark.ampybus("OBS-07")
def test_telemetry_tells_what_happened_everywhere(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.endings, checkers.counter_wrong, checkers.size_wrong)
