"""What a change of one value means, and whom it breaks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ampybus_contract.contract.languages import Relation, relation, same_parts


class Direction(StrEnum):
    """Whom a change breaks, of those who keep to the old contract.

    Producers: what they send may violate the new one. Consumers: they may meet what they do not know, or
    miss what was promised. Operators: brokers, bindings, permissions, dashboards and alerts may no longer do.
    What only adds something beside all that breaks nobody.
    """

    PRODUCERS = "producers"
    CONSUMERS = "consumers"
    OPERATORS = "operators"


P, C, O = Direction.PRODUCERS, Direction.CONSUMERS, Direction.OPERATORS  # noqa: E741  read as a table
NOBODY: tuple[Direction, ...] = ()
ALL = (P, C, O)


@dataclass(frozen=True, slots=True)
class Change:
    """One change: where, from what to what (None: not there), whom it breaks, and what that means.

    ``place`` is file and line in the new version, in the old one for what is gone. ``wording`` says that
    only words changed; ``payload`` that a payload changes on topics that stay, where section 23 asks for new
    topics.
    """

    path: str
    old: Any
    new: Any
    breaks: tuple[Direction, ...]
    meaning: str
    wording: bool = False
    payload: bool = False
    place: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """A path at which two versions differ, its values (None: not there), and the whole data of both."""

    path: str
    old: Any
    new: Any
    before: Mapping[str, Any]
    after: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The last part of the path."""
        return unescaped(self.path.rpartition("/")[2])

    def change(
        self, breaks: tuple[Direction, ...], meaning: str, *, wording: bool = False, payload: bool = False
    ) -> Change:
        """The change that this difference is."""
        return Change(self.path, self.old, self.new, breaks, meaning, wording, payload)


Effect = Callable[[Difference], Change]
Side = tuple[tuple[Direction, ...], str]
"""Whom one side of a change breaks, and what it means."""


def escaped(key: str) -> str:
    """A key as one part of a path."""
    return key.replace("~", "~0").replace("/", "~1")


def unescaped(part: str) -> str:
    """The key that ``escaped`` made a part of a path."""
    return part.replace("~1", "/").replace("~0", "~")


def unknown(difference: Difference) -> Change:
    """What no rule tells anything about."""
    return difference.change(ALL, "a change whose effect nobody has declared")


def wording(difference: Difference) -> Change:
    """Texts for people."""
    return difference.change(NOBODY, "wording, no rule changed", wording=True)


def fixed(meaning: str, *breaks: Direction, payload: bool = False) -> Effect:
    """Any change means the same, and breaks the same ones; nobody where none is named."""
    return lambda difference: difference.change(breaks, meaning, payload=payload)


def number(lower: Side, higher: Side) -> Effect:
    """A number: whom a lower one breaks and what it means, and the same for a higher one."""

    def effect(difference: Difference) -> Change:
        old, new = difference.old, difference.new
        if not all(isinstance(value, int | float) for value in (old, new)):
            return difference.change(ALL, "a limit comes or goes")
        return difference.change(*(lower if new < old else higher))

    return effect


def flag(unset: Side, set_: Side) -> Effect:
    """Something that holds or does not."""
    return lambda difference: difference.change(*(set_ if difference.new else unset))


def members(removed: Side, added: Side) -> Effect:
    """A list: whom a member that goes breaks and what that means, and the same for one that comes."""

    def effect(difference: Difference) -> Change:
        if not all(isinstance(value, list | None) for value in (difference.old, difference.new)):
            return difference.change(ALL, "a list becomes something else")
        before, after = difference.old or [], difference.new or []
        gone = [item for item in before if item not in after]
        come = [item for item in after if item not in before]
        sides = [(side, items) for side, items in ((removed, gone), (added, come)) if items]
        breaks = dict.fromkeys(whom for (whole, _), _ in sides for whom in whole)
        meaning = "; ".join(f"{words}: {', '.join(map(str, items))}" for (_, words), items in sides)
        return difference.change(tuple(breaks), meaning or "another order or number of the same")

    return effect


def pattern(what: str) -> Effect:
    """A regular expression: a narrower one breaks who sends, a wider one who reads.

    One that takes texts apart in another way breaks both, whatever it allows.
    """

    def effect(difference: Difference) -> Change:
        old, new = difference.old, difference.new
        if old is None or new is None:
            whom, words = (P, "comes") if old is None else (C, "goes")
            return difference.change((whom,), f"a rule for {what} {words}")
        if not isinstance(old, str) or not isinstance(new, str):
            return difference.change(ALL, f"{what} by something that is no pattern")
        how, text = relation(old, new)
        if how is not Relation.UNKNOWN and not same_parts(old, new):
            return difference.change((P, C), f"{what} may be taken apart in another way")
        sample = "" if text is None else f", such as {text!r}"
        return difference.change(
            *{
                Relation.EQUAL: (NOBODY, f"the same {what} as before"),
                Relation.NARROWER: ((P,), f"fewer {what} than before{sample}"),
                Relation.WIDER: ((C,), f"more {what} than before{sample}"),
                Relation.OVERLAPPING: ((P, C), f"other {what} than before{sample}"),
                Relation.UNKNOWN: ((P, C), f"{what} by a pattern that cannot be compared exactly"),
            }[how]
        )

    return effect


def entity(
    what: str, removed: tuple[Direction, ...], added: tuple[Direction, ...], payload: bool = False
) -> Effect:
    """A named thing that comes or goes as a whole, or becomes another: that breaks as if it went and came."""

    def effect(difference: Difference) -> Change:
        if difference.old is None:
            return difference.change(added, f"{what} {difference.name} is new")
        if difference.new is None:
            return difference.change(removed, f"{what} {difference.name} is gone", payload=payload)
        both = tuple(dict.fromkeys((*removed, *added)))
        return difference.change(both, f"{what} {difference.name} is another one", payload=payload)

    return effect
