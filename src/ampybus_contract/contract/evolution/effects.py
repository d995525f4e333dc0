"""What a change of one value means, and whom it breaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ampybus_contract.contract.languages import Relation, relation, same_parts


class Direction(StrEnum):
    """Whom a change breaks: who sends by the old contract, who reads by it, or who runs the bus by it."""

    PRODUCERS = "producers"
    CONSUMERS = "consumers"
    OPERATORS = "operators"


P, C, O = Direction.PRODUCERS, Direction.CONSUMERS, Direction.OPERATORS  # noqa: E741  read as a table
NOBODY: tuple[Direction, ...] = ()
ALL = (P, C, O)


@dataclass(frozen=True, slots=True)
class Change:
    """One change: where, from what to what (None: not there), whom it breaks, and what that means.

    ``wording`` says that only words changed; ``payload`` that it asks for a new payload major, so new topics.
    """

    path: str
    old: Any
    new: Any
    breaks: tuple[Direction, ...]
    meaning: str
    wording: bool = False
    payload: bool = False


Effect = Callable[[str, Any, Any], Change]


def wording(path: str, old: Any, new: Any) -> Change:
    """Texts for people."""
    return Change(path, old, new, NOBODY, "wording, no rule changed", wording=True)


def neutral(meaning: str) -> Effect:
    """A change that breaks nobody."""
    return lambda path, old, new: Change(path, old, new, NOBODY, meaning)


def fixed(meaning: str, *breaks: Direction, payload: bool = False) -> Effect:
    """Any change breaks the same."""
    return lambda path, old, new: Change(path, old, new, breaks, meaning, payload=payload)


def number(lower: tuple[tuple[Direction, ...], str], higher: tuple[tuple[Direction, ...], str]) -> Effect:
    """A number: whom a lower one breaks and what it means, and the same for a higher one."""

    def effect(path: str, old: Any, new: Any) -> Change:
        if not all(isinstance(value, int | float) for value in (old, new)):
            return Change(path, old, new, ALL, "a limit comes or goes")
        breaks, meaning = lower if new < old else higher
        return Change(path, old, new, breaks, meaning)

    return effect


def members(
    removed: tuple[tuple[Direction, ...], str],
    added: tuple[tuple[Direction, ...], str],
    payload: bool = False,
) -> Effect:
    """A list: whom a member that goes breaks and what that means, and the same for one that comes."""

    def effect(path: str, old: Any, new: Any) -> Change:
        before = old if isinstance(old, list) else []
        after = new if isinstance(new, list) else []
        gone = [item for item in before if item not in after]
        come = [item for item in after if item not in before]
        breaks = [*(removed[0] if gone else ()), *(added[0] if come else ())]
        words = [f"{removed[1]}: {_listed(gone)}"] * bool(gone) + [f"{added[1]}: {_listed(come)}"] * bool(
            come
        )
        meaning = "; ".join(words) or "another order of the same"
        return Change(path, old, new, tuple(dict.fromkeys(breaks)), meaning, payload=payload and bool(gone))

    return effect


def pattern(what: str) -> Effect:
    """A regular expression: a narrower one breaks who sends, a wider one who reads.

    One that takes texts apart in another way breaks both, whatever it allows.
    """

    def effect(path: str, old: Any, new: Any) -> Change:
        if old is None or new is None:
            whom, words = (P, "comes") if old is None else (C, "goes")
            return Change(path, old, new, (whom,), f"a rule for {what} {words}")
        if not isinstance(old, str) or not isinstance(new, str):
            return Change(path, old, new, (P, C), f"{what} by a rule that is no pattern")
        how, text = relation(old, new)
        if how is not Relation.UNKNOWN and not same_parts(old, new):
            return Change(path, old, new, (P, C), f"{what} may be taken apart in another way")
        sample = "" if text is None else f", such as {text!r}"
        breaks, meaning = {
            Relation.EQUAL: (NOBODY, f"the same {what} as before"),
            Relation.NARROWER: ((P,), f"fewer {what} than before{sample}"),
            Relation.WIDER: ((C,), f"more {what} than before{sample}"),
            Relation.OVERLAPPING: ((P, C), f"other {what} than before{sample}"),
            Relation.UNKNOWN: ((P, C), f"{what} by a pattern that cannot be compared exactly"),
        }[how]
        return Change(path, old, new, breaks, meaning)

    return effect


def entity(
    what: str, removed: tuple[Direction, ...], added: tuple[Direction, ...] = NOBODY, payload: bool = False
) -> Effect:
    """A named thing that comes or goes as a whole."""

    def effect(path: str, old: Any, new: Any) -> Change:
        name = path.rpartition("/")[2]
        if old is None:
            return Change(path, old, new, added, f"{what} {name} is new")
        return Change(path, old, new, removed, f"{what} {name} is gone", payload=payload)

    return effect


def _listed(items: list[Any]) -> str:
    return ", ".join(map(str, items))
