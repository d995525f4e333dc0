"""Workloads from the whole contract: every value, every pair, and the same for the same seed."""

from __future__ import annotations

from itertools import product

import pytest

from ampybus_contract.envelope import Topic
from ampybus_contract.harness.covering import covered, covering_rows
from ampybus_contract.harness.variety import Variety
from ampybus_contract.validation import validate
from tests.harness.judging import CONTRACT

SMALL = {"a": ["1", "2", "3"], "b": ["x", "y"], "c": ["p", "q", "r", "s"]}


@pytest.mark.parametrize("strength", [1, 2, 3])
def test_each_combination_of_so_many_values_is_in_a_row(strength: int) -> None:
    rows = covering_rows(SMALL, strength, 1)
    names = sorted(SMALL)
    for start in range(len(names) - strength + 1):
        chosen = names[start : start + strength]
        there = {tuple(row[name] for name in chosen) for row in rows}
        assert there == set(product(*(SMALL[name] for name in chosen)))


def test_pairs_need_far_fewer_rows_than_all_combinations() -> None:
    assert len(covering_rows(SMALL, 2, 1)) < len(list(product(*SMALL.values())))
    assert len(covering_rows(SMALL, 1, 1)) == max(map(len, SMALL.values()))


def test_a_strength_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="strength"):
        covering_rows(SMALL, 0, 1)


def test_what_is_covered_can_be_counted() -> None:
    rows = covering_rows(SMALL, 2, 1)
    assert covered(rows, SMALL) == (26, 26)
    assert covered(rows[:1], SMALL) == (3, 26)


def test_the_envelopes_keep_the_contract_and_have_every_value() -> None:
    variety = Variety(CONTRACT, 3)
    drawn = list(variety.envelopes(1))
    for item in drawn:
        assert [each for each in validate(item.envelope, CONTRACT) if each.level == "MUST"] == []
    for factor, values in variety.factors.items():
        assert {item.row.get(factor) for item in drawn} >= {*values}, factor
    domains = {Topic.parse(item.envelope.topic).domain for item in drawn}
    carried = {name for name, rule in CONTRACT.domains.items() if rule.carries is None}
    assert domains == carried


def test_ids_and_dedupe_keys_are_never_repeated() -> None:
    variety = Variety(CONTRACT, 3)
    made = [item.envelope for item in variety.envelopes(1)]
    made += [variety.any_of(domain, "prod") for domain in variety.domains for _ in range(3)]
    ids = [item.headers["message_id"].lower() for item in made]
    keys = [item.headers["dedupe_key"] for item in made if "dedupe_key" in item.headers]
    assert len({*ids}) == len(ids)
    assert len({*keys}) == len(keys)


def test_one_seed_gives_one_sequence() -> None:
    first, second, other = ([*Variety(CONTRACT, seed).envelopes(1)] for seed in (5, 5, 6))
    assert first == second
    assert first != other


def test_another_message_of_a_key_has_its_topic_and_key() -> None:
    variety = Variety(CONTRACT, 3)
    first = variety.any_of("bars", "dev")
    again = variety.again(first)
    assert again is not None
    assert (again.topic, again.headers["partition_key"]) == (first.topic, first.headers["partition_key"])
    assert again.headers["message_id"] != first.headers["message_id"]
