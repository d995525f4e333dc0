"""Chapter Envelope: headers and payload arrive as they were sent."""

from __future__ import annotations

import pytest

from ampybus_contract.contract import Contract
from ampybus_contract.harness import checkers, scenarios
from ampybus_contract.pytest_plugin import ConformanceCheck


@pytest.mark.ampybus("ENV-01")
def test_every_required_header_arrives(ampybus: ConformanceCheck) -> None:
    missing, altered = checkers.required_header_missing, checkers.required_header_altered
    ampybus(scenarios.round_trip, missing, altered)


@pytest.mark.ampybus("ENV-02")
def test_ids_are_the_ones_published(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.round_trip, checkers.id_rewritten, checkers.lost_write, checkers.unseen)


@pytest.mark.ampybus("ENV-03")
def test_produced_at_keeps_its_spelling(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.round_trip, checkers.time_rewritten)


@pytest.mark.ampybus("ENV-05")
def test_unknown_headers_survive(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.round_trip, checkers.unknown_header_changed)


@pytest.mark.ampybus("ENV-06")
def test_payload_bytes_are_identical(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.payload_sizes, checkers.payload_changed, checkers.lost_write, checkers.unseen)


@pytest.mark.ampybus("ENV-04")
def test_the_schema_version_fits_the_topic(ampybus: ConformanceCheck) -> None:
    refused = checkers.violation_accepted(versions)
    ampybus(scenarios.versions, refused, checkers.broken_on_wire(versions), checkers.refused_valid)


@pytest.mark.ampybus("ENV-07")
def test_an_unknown_encoding_is_a_decode_error(ampybus: ConformanceCheck) -> None:
    refused = checkers.violation_accepted(lambda contract: [contract.payload.requirements["encoding"]])
    ampybus(scenarios.unknown_encoding, refused, checkers.poison_delivered, checkers.reason_wrong)


def versions(contract: Contract) -> list[str]:
    """What a schema_version must keep: its form, and the agreement of the majors."""
    return [contract.headers["schema_version"].format, contract.payload.requirements["version"]]


@pytest.mark.ampybus("ENV-08")
def test_every_binding_puts_the_same_envelope_on_the_wire(ampybus: ConformanceCheck) -> None:
    ampybus(
        scenarios.every_header,
        checkers.wire_differs,
        checkers.mapped_otherwise,
        checkers.header_changed,
        checkers.payload_changed,
        checkers.topic_changed,
    )


@pytest.mark.ampybus("ENV-09")
def test_what_breaks_a_must_is_refused(ampybus: ConformanceCheck) -> None:
    ampybus(
        scenarios.broken_publishes,
        checkers.violation_accepted(refusable),
        checkers.broken_on_wire(refusable),
        checkers.id_invented,
        checkers.refused_valid,
        checkers.lost_write,
        checkers.unseen,
    )


def refusable(contract: Contract) -> list[str]:
    """What one envelope can break, but for its size, which a binding may mend by a pointer (D17)."""
    size = contract.payload.requirements["sent"]
    return [name for name in contract.envelope_requirements if name != size]


@pytest.mark.ampybus("ENV-10")
def test_whatever_the_contract_allows_arrives(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.crossing, checkers.lost_write, checkers.unseen)
