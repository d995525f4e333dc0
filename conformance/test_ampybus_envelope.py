"""Chapter Envelope: headers and payload arrive as they were sent."""

from __future__ import annotations

import pytest

from ampybus_contract.harness import checkers, scenarios
from ampybus_contract.pytest_plugin import ConformanceCheck


@pytest.mark.ampybus("ENV-01")
def test_every_required_header_arrives(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.round_trip, checkers.required_header_missing)


@pytest.mark.ampybus("ENV-02")
def test_ids_are_the_ones_published(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.round_trip, checkers.id_rewritten, checkers.lost_write)


@pytest.mark.ampybus("ENV-03")
def test_produced_at_keeps_its_spelling(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.round_trip, checkers.time_rewritten)


@pytest.mark.ampybus("ENV-05")
def test_unknown_headers_survive(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.round_trip, checkers.unknown_header_changed)


@pytest.mark.ampybus("ENV-06")
def test_payload_bytes_are_identical(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.payload_sizes, checkers.payload_changed, checkers.lost_write)
