"""Chapter Large payloads: sizes, pointers and bombs."""

from __future__ import annotations

import pytest

from ampybus_contract.harness import checkers, scenarios
from ampybus_contract.pytest_plugin import ConformanceCheck


@pytest.mark.ampybus("BIG-01")
def test_large_payloads_are_compressed(ampybus: ConformanceCheck) -> None:
    ampybus(
        scenarios.compression_threshold,
        checkers.sent_plain,
        checkers.refused_valid,
        checkers.lost_write,
        checkers.unseen,
    )


@pytest.mark.ampybus("BIG-02")
def test_the_size_limit_holds_on_the_wire(ampybus: ConformanceCheck) -> None:
    ampybus(
        scenarios.size_limit,
        checkers.broken_on_wire(lambda contract: [contract.payload.requirements["sent"]]),
        checkers.unsettled_size,
        checkers.refused_valid,
        checkers.payload_changed,
        checkers.lost_write,
        checkers.unseen,
    )


@pytest.mark.ampybus("BIG-03")
def test_pointer_headers_come_all_together(ampybus: ConformanceCheck) -> None:
    refused = checkers.violation_accepted(lambda contract: contract.pointer_requirements.values())
    on_wire = checkers.broken_on_wire(lambda contract: contract.pointer_requirements.values())
    ampybus(
        scenarios.pointers, refused, on_wire, checkers.refused_valid, checkers.lost_write, checkers.unseen
    )


@pytest.mark.ampybus("BIG-06")
def test_a_decompression_bomb_is_capped(ampybus: ConformanceCheck) -> None:
    refused = checkers.violation_accepted(lambda contract: [contract.payload.requirements["encoding"]])
    ampybus(scenarios.decompression_bomb, refused, checkers.poison_delivered, checkers.reason_wrong)


@pytest.mark.ampybus("BIG-04")
def test_a_stored_object_is_verified(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.replaced_object, checkers.large_payload_lost, checkers.object_unverified)


@pytest.mark.ampybus("BIG-05")
def test_an_absent_object_is_tried_again_within_the_bound(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.absent_object, checkers.large_payload_lost, checkers.absence_mishandled)
