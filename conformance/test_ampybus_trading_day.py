"""Chapter Trading day: everything at once, for long."""

from __future__ import annotations

import pytest

from ampybus_contract.harness import checkers, scenarios
from ampybus_contract.pytest_plugin import ConformanceCheck


@pytest.mark.ampybus("DAY-01")
def test_a_trading_day_breaks_no_rule(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.trading_day, checkers.unapplied)
