"""Chapter Replay: what is stored can be had again, exactly, and beside live traffic."""

from __future__ import annotations

import pytest

from ampybus_contract.harness import checkers, scenarios
from ampybus_contract.pytest_plugin import ConformanceCheck

EXACT = (
    checkers.nothing_replayed,
    checkers.replay_incomplete,
    checkers.replay_outside_window,
    checkers.replay_outside_scope,
    checkers.replay_unrequested,
)


@pytest.mark.ampybus("RPL-01")
def test_a_window_is_exact_to_the_nanosecond(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.window_edges, *EXACT, checkers.replay_changed)


@pytest.mark.ampybus("RPL-02")
def test_a_replay_by_key_gives_that_key_only(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.one_key, *EXACT, checkers.replay_changed)


@pytest.mark.ampybus("RPL-03")
def test_a_replay_leaves_sinks_unchanged(ampybus: ConformanceCheck) -> None:
    ampybus(
        scenarios.replayed_sinks,
        checkers.nothing_replayed,
        checkers.duplicate_effect,
        checkers.replay_incomplete,
    )


@pytest.mark.ampybus("RPL-04")
def test_a_replay_leaves_live_traffic_alone(ampybus: ConformanceCheck) -> None:
    ampybus(
        scenarios.replay_beside_live,
        checkers.nothing_replayed,
        checkers.live_paused,
        checkers.live_disturbed,
        checkers.key_reordered,
        checkers.replay_incomplete,
    )


@pytest.mark.ampybus("RPL-05")
def test_a_consumer_goes_on_from_its_checkpoint(ampybus: ConformanceCheck) -> None:
    ampybus(
        scenarios.killed_in_the_middle,
        checkers.swallowed,
        checkers.duplicate_effect,
        checkers.effect_reordered,
    )


@pytest.mark.ampybus("RPL-06")
def test_a_replay_follows_a_request_in_its_environment(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.requested_in_one_env, *EXACT, checkers.replay_cross_env)


@pytest.mark.ampybus("RPL-07")
def test_a_lookup_has_slack_and_produced_at_decides(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.stored_late, *EXACT)


@pytest.mark.ampybus("RPL-08")
def test_a_window_gives_the_same_sequence_twice(ampybus: ConformanceCheck) -> None:
    ampybus(
        scenarios.same_window_twice,
        checkers.nothing_replayed,
        checkers.replay_reordered,
        checkers.request_skipped,
        checkers.replay_incomplete,
        checkers.replay_changed,
        checkers.key_reordered,
    )


@pytest.mark.ampybus("RPL-09")
def test_replays_give_what_is_asked_for_in_every_domain(ampybus: ConformanceCheck) -> None:
    ampybus(
        scenarios.replays,
        checkers.nothing_replayed,
        checkers.replay_incomplete,
        checkers.replay_outside_window,
        checkers.replay_outside_scope,
        checkers.replay_changed,
        checkers.duplicate_effect,
    )


@pytest.mark.ampybus("RPL-10")
def test_every_domain_goes_on_from_its_checkpoint(ampybus: ConformanceCheck) -> None:
    ampybus(scenarios.checkpoints, checkers.unapplied, checkers.lost_write, checkers.unseen)
