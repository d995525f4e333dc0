"""Chapter Faults: what a binding says and does when the broker fails it."""

from __future__ import annotations

import pytest

from ampybus_contract.harness import checkers, scenarios
from ampybus_contract.pytest_plugin import ConformanceCheck


@pytest.mark.ampybus("FLT-06")
def test_a_lost_acknowledgement_is_indefinite(ampybus: ConformanceCheck) -> None:
    ampybus(
        scenarios.lost_acks,
        checkers.definite_but_stored,
        checkers.id_invented,
        checkers.lost_write,
        checkers.unseen,
    )


@pytest.mark.ampybus("FLT-07")
def test_a_clock_ahead_gives_no_negative_latency(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.fast_clock, checkers.latency_negative)


@pytest.mark.ampybus("FLT-08")
def test_seeded_faults_break_no_rule(ampybus: ConformanceCheck) -> None:
    ampybus(
        scenarios.chaos,
        checkers.lost_write,
        checkers.unseen,
        checkers.duplicate_effect,
        checkers.swallowed,
        checkers.key_reordered,
        checkers.effect_reordered,
        checkers.header_changed,
        checkers.payload_changed,
        checkers.refused_at_last_but_stored,
        checkers.id_invented,
        checkers.dlq_lost,
        checkers.poison_delivered,
    )
