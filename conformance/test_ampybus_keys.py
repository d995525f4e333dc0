"""Chapter Keys: the partition key follows the payload."""

from __future__ import annotations

import pytest

from ampybus_contract.contract import Contract
from ampybus_contract.harness import checkers, scenarios
from ampybus_contract.pytest_plugin import ConformanceCheck


@pytest.mark.ampybus("KEY-01")
def test_the_key_follows_its_formula(ampybus: ConformanceCheck) -> None:
    refused = checkers.violation_accepted(lambda contract: contract.key_requirements.values())
    ampybus(scenarios.wrong_keys, checkers.key_wrong, refused, checkers.refused_valid)


@pytest.mark.ampybus("KEY-02")
def test_a_key_keeps_its_partition(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.keys_over_restarts, checkers.key_scattered, checkers.refused_valid)


@pytest.mark.ampybus("KEY-03")
def test_a_missing_key_is_refused(ampybus: ConformanceCheck) -> None:
    refused = checkers.violation_accepted(missing)
    ampybus(scenarios.missing_keys, refused, checkers.refused_valid)


@pytest.mark.ampybus("KEY-04")
def test_a_separator_inside_a_component_is_refused(ampybus: ConformanceCheck) -> None:
    refused = checkers.violation_accepted(lambda contract: [contract.key_requirements["separator"]])
    ampybus(scenarios.separators, refused, checkers.refused_valid)


def missing(contract: Contract) -> list[str]:
    """What a key header must keep: presence, and not to be empty."""
    rule = contract.headers["partition_key"]
    return [name for name in (rule.required, rule.format) if name is not None]
