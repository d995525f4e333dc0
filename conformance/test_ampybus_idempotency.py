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
