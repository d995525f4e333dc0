"""Chapter Security: what must not be on the bus is not let in."""

from __future__ import annotations

import pytest

from ampybus_contract.harness import checkers, scenarios
from ampybus_contract.pytest_plugin import ConformanceCheck


@pytest.mark.ampybus("SEC-09")
def test_personal_data_is_found(ampybus: ConformanceCheck) -> None:
    refused = checkers.violation_accepted(lambda contract: contract.privacy.requirements.values())
    ampybus(scenarios.personal_data, refused, checkers.poison_delivered, checkers.dlq_lost)


@pytest.mark.ampybus("SEC-10")
def test_no_credentials_are_shown(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.credentials, checkers.credential_shown)
