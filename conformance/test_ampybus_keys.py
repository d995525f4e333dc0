"""Chapter Keys: the partition key follows the payload."""

from __future__ import annotations

import pytest

from ampybus_contract.harness import checkers, scenarios
from ampybus_contract.pytest_plugin import ConformanceCheck


@pytest.mark.ampybus("KEY-01")
def test_the_key_follows_its_formula(ampybus: ConformanceCheck) -> None:
    refused = checkers.violation_accepted(lambda contract: contract.key_requirements.values())
    ampybus(scenarios.wrong_keys, checkers.key_wrong, refused, checkers.refused_valid)
