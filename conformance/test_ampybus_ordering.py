"""Chapter Ordering: within a key, the order of publishing holds."""

from __future__ import annotations

import pytest

from ampybus_contract.harness import checkers, scenarios
from ampybus_contract.pytest_plugin import ConformanceCheck


@pytest.mark.ampybus("ORD-01")
def test_messages_of_a_key_arrive_in_order(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.keyed_stream, checkers.key_reordered, checkers.lost_write)


@pytest.mark.ampybus("ORD-03")
def test_a_retried_message_keeps_its_place(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.keyed_stream_with_retries, checkers.effect_reordered, checkers.swallowed)
