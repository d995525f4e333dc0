"""Chapter Service levels: latency, and how it is measured."""

from __future__ import annotations

import pytest

from ampybus_contract.harness import checkers, scenarios
from ampybus_contract.pytest_plugin import ConformanceCheck


@pytest.mark.ampybus("SLO-07")
def test_a_stall_shows_in_the_percentile(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.stalled, checkers.stall_hidden)
