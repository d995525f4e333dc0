"""Chapter Audit: sessions that can be rebuilt, and what strangers do to them."""

from __future__ import annotations

import pytest

from ampybus_contract.harness import checkers, scenarios
from ampybus_contract.pytest_plugin import ConformanceCheck


@pytest.mark.ampybus("AUD-01")
def test_a_session_is_rebuilt_from_its_envelopes(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.captured, checkers.session_differs)


@pytest.mark.ampybus("AUD-02")
def test_payload_hashes_verify(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.captured_letters, checkers.hash_wrong)


@pytest.mark.ampybus("AUD-03")
def test_tampering_is_named(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.tampered, checkers.damage_unnamed)


@pytest.mark.ampybus("AUD-04")
def test_a_gap_and_a_double_are_named(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.gap_and_double, checkers.damage_unnamed, checkers.session_differs)


@pytest.mark.ampybus("AUD-06")
def test_sessions_hold_all_that_is_stored(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.sessions, checkers.session_differs, checkers.hash_wrong)
