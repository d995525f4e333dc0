"""Patterns are compared by the texts they allow, exactly or not at all."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ampybus_contract.contract.evolution import Direction
from ampybus_contract.contract.evolution.effects import Difference
from ampybus_contract.contract.evolution.rules import effect_of
from ampybus_contract.contract.languages import Relation, relation

ATOMS = [
    "a", "b", "[ab]", "a?", "b*", "(?:ab|b)", "a{1,3}", "(?:a|bb)+", "[^a]", ".", "é", "[aé§]", "[^é]", r"\w",
    r"\W", r"[^\W]", r"\d", r"\s", "a++", "(?>a|ab)", "(?i:A)", "(?=a)", "(?!b)", r"\b", "a{0,2000}",
    "[a-\U0010ffff]",
]  # fmt: skip


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_a_relation_agrees_with_what_matches(data: st.DataObject) -> None:
    atom = st.sampled_from(ATOMS)
    old, new = ("".join(data.draw(st.lists(atom, min_size=1, max_size=4))) for _ in range(2))
    how, text = relation(old, new)

    for sample in data.draw(st.lists(st.text("abé§٣", max_size=6), max_size=20)):
        before, after = bool(re.fullmatch(old, sample)), bool(re.fullmatch(new, sample))
        assert how is not Relation.EQUAL or before == after
        assert how is not Relation.NARROWER or before or not after
        assert how is not Relation.WIDER or after or not before
    if text is not None:
        assert bool(re.fullmatch(old, text)) != bool(re.fullmatch(new, text))


@pytest.mark.parametrize(
    ("old", "new"),
    [("[äö]", "[ä]"), ("ä", "ö"), (r"[^\W]", r"\w"), ("a++a", "aa+"), ("(?>a|ab)c", "(?:a|ab)c"),
     ("a{1,5000}", "a{1,4000}"), (r"\d", r"[0-9]"), ("(", "a"), ("a", "a{2,1}")],
)  # fmt: skip
def test_what_the_automaton_does_not_follow_is_unknown(old: str, new: str) -> None:
    assert relation(old, new) == (Relation.UNKNOWN, None)


def wide(end: str) -> str:
    return "(?:" + "|".join(f"[{first}-{end}]x" for first in "abcdefghijklmnopqrstuvw" * 3) + ")*"


@pytest.mark.parametrize(
    ("old", "new"), [("[ab]*a[ab]{14}", "[ab]*a[ab]{15}"), (wide("z"), wide("y"))], ids=["doubling", "broad"]
)
def test_a_comparison_ends_after_so_many_steps(old: str, new: str) -> None:
    assert relation(old, new)[0] is Relation.UNKNOWN


def test_repeats_within_repeats_are_not_taken_for_endless() -> None:
    assert relation("(?:a{0,40}b){0,40}", "(?:a{0,41}b){0,40}")[0] is not Relation.EQUAL


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_directions_are_mirrored_on_the_way_back(data: st.DataObject) -> None:
    one, other = ("".join(data.draw(st.lists(st.sampled_from(ATOMS), max_size=3))) for _ in range(2))
    swapped = {Direction.PRODUCERS: Direction.CONSUMERS, Direction.CONSUMERS: Direction.PRODUCERS}
    effect = effect_of("domains/bars/subtopic")
    there, back = (set(effect(Difference("", *pair, {}, {})).breaks) for pair in ((one, other), (other, one)))
    assert there == {swapped[whom] for whom in back}
