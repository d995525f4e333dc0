"""Chapter Security: what must not be on the bus is not let in."""

from __future__ import annotations

import pytest

from ampybus_contract.harness import checkers, scenarios
from ampybus_contract.pytest_plugin import ConformanceCheck


@pytest.mark.ampybus("SEC-01")
def test_plain_connections_are_refused(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.plain_peer, checkers.stranger_trusted)


@pytest.mark.ampybus("SEC-02")
def test_old_versions_are_refused(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.old_peer, checkers.stranger_trusted)


@pytest.mark.ampybus("SEC-03")
def test_certificates_are_verified(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.untrusted_peers, checkers.stranger_trusted)


@pytest.mark.ampybus("SEC-04")
def test_a_client_without_a_certificate_is_refused(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.without_certificate, checkers.stranger_trusted)


@pytest.mark.ampybus("SEC-05")
def test_certificates_are_replaced_without_loss(ampybus: ConformanceCheck) -> None:
    ampybus(
        scenarios.renewed_certificates,
        checkers.not_resumed,
        checkers.lost_write,
        checkers.swallowed,
        checkers.key_reordered,
    )


@pytest.mark.ampybus("SEC-09")
def test_personal_data_is_found(ampybus: ConformanceCheck) -> None:
    refused = checkers.violation_accepted(lambda contract: contract.privacy.requirements.values())
    ampybus(scenarios.personal_data, refused, checkers.poison_delivered, checkers.dlq_lost)


@pytest.mark.ampybus("SEC-10")
def test_no_credentials_are_shown(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.credentials, checkers.credential_shown)
