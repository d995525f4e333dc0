"""Chapter Topics: what may be published where, and who gets it."""

from __future__ import annotations

import pytest

from ampybus_contract.harness import checkers, scenarios
from ampybus_contract.pytest_plugin import ConformanceCheck


@pytest.mark.ampybus("TOP-01")
def test_topics_outside_the_grammar_are_refused(ampybus: ConformanceCheck) -> None:
    refused = checkers.violation_accepted(lambda contract: contract.topic.requirements.values())
    ampybus(scenarios.bad_topics, refused, checkers.hint_missing, checkers.refused_valid)


@pytest.mark.ampybus("TOP-03")
def test_publishing_to_a_wildcard_is_refused(ampybus: ConformanceCheck) -> None:
    refused = checkers.violation_accepted(lambda contract: [contract.topic.requirements["wildcard"]])
    ampybus(scenarios.wildcard_topics, refused, checkers.refused_valid)


@pytest.mark.ampybus("TOP-04")
def test_a_wildcard_gets_what_matches_and_nothing_else(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.wildcard_subscriptions, checkers.outside_pattern, checkers.lost_write, checkers.unseen)


@pytest.mark.ampybus("TOP-02")
def test_nothing_crosses_environments(ampybus: ConformanceCheck) -> None:
    ampybus(
        scenarios.environments,
        checkers.outside_pattern,
        checkers.cross_env,
        checkers.lost_write,
        checkers.unseen,
    )


@pytest.mark.ampybus("TOP-05")
def test_dots_and_signs_in_names_survive(ampybus: ConformanceCheck) -> None:
    ampybus(
        scenarios.every_name,
        checkers.topic_changed,
        checkers.refused_valid,
        checkers.lost_write,
        checkers.unseen,
    )
