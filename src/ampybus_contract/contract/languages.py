"""Which texts two patterns allow: is one narrower than the other?"""

from __future__ import annotations

import re
from enum import StrEnum
from re import _parser  # type: ignore[attr-defined]  # the parse tree has no public module

from ampybus_contract.contract.backtracking import Automaton, Part, TooLargeError

MOST_STATES = 50_000
ENDLESS = 1000
_OTHER = "é"


class Relation(StrEnum):
    """How the new pattern's texts lie to the old one's; ``unknown`` where this cannot be told exactly."""

    EQUAL = "equal"
    NARROWER = "narrower"
    WIDER = "wider"
    OVERLAPPING = "different"
    UNKNOWN = "unknown"


def relation(old: str, new: str) -> tuple[Relation, str | None]:
    """The relation, with a text that one of the two allows and the other does not.

    Unknown for patterns with lookarounds or back-references, and beyond ``MOST_STATES`` states. Characters
    beyond ASCII count as one.
    """
    if old == new:
        return Relation.EQUAL, None
    try:
        lost = _outside(old, new)
        gained = _outside(new, old)
    except (TooLargeError, RecursionError):
        return Relation.UNKNOWN, None
    if lost is None and gained is None:
        return Relation.EQUAL, None
    if lost is None or gained is None:
        return (Relation.WIDER, gained) if lost is None else (Relation.NARROWER, lost)
    return Relation.OVERLAPPING, lost


def _outside(inner: str, outer: str) -> str | None:
    """A text that ``inner`` matches whole and ``outer`` does not, or None. Raises TooLargeError."""
    (one, start_one), (other, start_other) = _automaton(inner), _automaton(outer)
    start: tuple[int, frozenset[int]] = (-1, frozenset({-1}))
    seen, waiting = {start}, [(start, "")]
    while waiting:
        (here, set_there), text = waiting.pop(0)
        if len(seen) > MOST_STATES:
            raise TooLargeError
        ends = start_one.empty if here == -1 else here in start_one.last
        there_ends = any(
            start_other.empty if place == -1 else place in start_other.last for place in set_there
        )
        if ends and not there_ends:
            return text
        following = {
            place for item in set_there for place in (start_other.first if item == -1 else other.follow[item])
        }
        for step in start_one.first if here == -1 else one.follow[here]:
            for characters in _classes(one.takes[step], [other.takes[place] for place in following]):
                sample = min(characters, key=_plainness)
                reached = frozenset(place for place in following if sample in other.takes[place])
                state = (step, reached)
                if state not in seen:
                    seen.add(state)
                    waiting.append((state, text + (chr(sample) if sample < 128 else _OTHER)))
    return None


def _automaton(pattern: str) -> tuple[Automaton, Part]:
    made = Automaton(many=ENDLESS, exact=True)
    tree = _parser.parse(pattern)
    part = made.add(tree)
    if (
        made.asides
        or made.unread
        or tree.state.flags & ~re.UNICODE
        or re.search(r"\(\?P=|\\[1-9AbBZ]|(?<!\\)[$^](?![^\[]*\])", pattern)
    ):
        raise TooLargeError
    return made, part


def _classes(taken: frozenset[int], others: list[frozenset[int]]) -> list[frozenset[int]]:
    """The characters of a position, split so that those of one part go the same ways in the others."""
    parts = [taken]
    for other in set(others):
        parts = [piece for part in parts for piece in (part & other, part - other) if piece]
    return parts


def _plainness(code: int) -> tuple[bool, bool, int]:
    char = chr(code)
    return (not char.isalnum(), not char.isprintable(), code)
