"""Envelopes that break one requirement, by numbers alone."""

from __future__ import annotations

import pytest

from ampybus_contract.contract import default_contract
from ampybus_contract.errors import StrategyError
from ampybus_contract.strategies import (
    Break,
    breakable_requirements,
    breaks,
    broken,
    covering,
    one_each,
)
from ampybus_contract.validation import validate

CONTRACT = default_contract()
SPOTS = breaks()
ENVIRONMENTS = CONTRACT.topic.environments


def test_every_breakable_requirement_is_among_them() -> None:
    assert {spot.requirement for spot in SPOTS} == breakable_requirements()
    assert len(set(SPOTS)) == len(SPOTS)


@pytest.mark.parametrize("seed", [0, 7])
def test_few_of_them_meet_each_requirement_in_each_domain_and_each_way(seed: int) -> None:
    chosen = covering(SPOTS, seed)
    assert {(spot.requirement, spot.domain) for spot in chosen} == {
        (spot.requirement, spot.domain) for spot in SPOTS
    }
    assert {(spot.requirement, spot.way) for spot in chosen} == {
        (spot.requirement, spot.way) for spot in SPOTS
    }
    assert len(chosen) < len(SPOTS)
    assert covering(SPOTS, seed) == chosen != covering(SPOTS, seed + 1)


def test_fewer_still_meet_each_requirement_once() -> None:
    chosen = one_each(SPOTS, 3)
    assert sorted(spot.requirement for spot in chosen) == sorted(breakable_requirements())
    assert one_each(SPOTS, 3) == chosen != one_each(SPOTS, 4)


@pytest.mark.parametrize("requirement", sorted(breakable_requirements()))
def test_each_breaks_its_requirement_and_no_other(requirement: str) -> None:
    for number, spot in enumerate(spot for spot in SPOTS if spot.requirement == requirement):
        env = ENVIRONMENTS[number % len(ENVIRONMENTS)]
        made = broken(spot, number, env=env)
        assert {finding.requirement for finding in validate(made.envelope)} == {requirement}
        for valid in (made.before, made.after):
            assert validate(valid) == []
            assert valid.topic.split(".")[1:3] == [env, spot.domain]
        three = (made.before, made.envelope, made.after)
        assert len({item.headers.get("message_id") for item in three}) == len(three)


def test_the_same_number_gives_the_same_envelope_and_another_another() -> None:
    spot = SPOTS[5]
    assert broken(spot, 1) == broken(spot, 1)
    assert broken(spot, 1) != broken(spot, 2)
    assert broken(spot, 1, env=ENVIRONMENTS[0]) != broken(spot, 1, env=ENVIRONMENTS[-1])


@pytest.mark.parametrize(
    "spot", [Break("HDR-99", "bars", 0), Break("HDR-02", "bars", 99), Break("HDR-02", "dlq", 0)]
)
def test_a_way_that_is_none_is_refused(spot: Break) -> None:
    with pytest.raises(StrategyError, match=r"expected one of breaks\(\)"):
        broken(spot, 0)
