"""Chapter Ordering: within a key, the order of publishing holds."""

from __future__ import annotations

import pytest

from ampybus_contract.harness import checkers, scenarios
from ampybus_contract.pytest_plugin import ConformanceCheck


@pytest.mark.ampybus("ORD-01")
def test_messages_of_a_key_arrive_in_order(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.keyed_stream, checkers.key_reordered, checkers.lost_write, checkers.unseen)


@pytest.mark.ampybus("ORD-03")
def test_a_retried_message_keeps_its_place(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.keyed_stream_with_retries, checkers.effect_reordered, checkers.swallowed)


@pytest.mark.ampybus("ORD-02")
def test_keys_side_by_side_keep_their_order(ampybus: ConformanceCheck) -> None:
    ampybus(
        scenarios.many_keys,
        checkers.key_reordered,
        checkers.effect_reordered,
        checkers.lost_write,
        checkers.unseen,
    )


@pytest.mark.ampybus("ORD-04")
def test_a_rebalance_loses_nothing_and_reorders_no_key(ampybus: ConformanceCheck) -> None:
    ampybus(
        scenarios.rebalance,
        checkers.key_reordered,
        checkers.effect_reordered,
        checkers.lost_write,
        checkers.unseen,
        checkers.swallowed,
        checkers.not_resumed,
    )


@pytest.mark.ampybus("ORD-05")
def test_a_lost_leader_or_link_changes_no_order(ampybus: ConformanceCheck) -> None:
    ampybus(
        scenarios.lost_connection,
        checkers.not_resumed,
        checkers.key_reordered,
        checkers.effect_reordered,
        checkers.lost_write,
        checkers.unseen,
    )


@pytest.mark.ampybus("ORD-06")
def test_the_steps_of_an_order_keep_their_order(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.steps, checkers.effect_reordered, checkers.lost_write, checkers.unseen)


@pytest.mark.ampybus("ORD-07")
def test_a_key_ends_on_its_newest_message(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.snapshots, checkers.stale_end)
