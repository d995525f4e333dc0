"""Which texts two patterns allow: is one narrower than the other, and do they name the same parts?"""

from __future__ import annotations

import re
from collections import deque
from enum import StrEnum
from functools import lru_cache
from re import _constants as codes  # type: ignore[attr-defined]  # the parse tree has no public module
from re import _parser  # type: ignore[attr-defined]
from typing import Any

from ampybus_contract.contract.backtracking import LETTERS, REST, Automaton, Part, TooLargeError

RELATIONS_KEPT = 4_096
MOST_STEPS = 2_000_000
ENDLESS = 1000
RELATIONS_KEPT = 1_024
_ASCII = 128
_LAST = 0x10FFFF
_BEYOND = {LETTERS: "é", REST: "§"}
"""Characters to show where any letter beyond ASCII, or any other character there, would do."""


class Relation(StrEnum):
    """How the new pattern's texts lie to the old one's; ``unknown`` where this cannot be told exactly."""

    EQUAL = "equal"
    NARROWER = "narrower"
    WIDER = "wider"
    OVERLAPPING = "different"
    UNKNOWN = "unknown"


class InexactError(Exception):
    """A pattern has something that the automaton does not follow exactly."""


@lru_cache(RELATIONS_KEPT)
def relation(old: str, new: str) -> tuple[Relation, str | None]:
    """The relation, with a text that one of the two allows and the other does not.

    Unknown for patterns that do not compile, for flags, lookarounds, anchors, references, possessive and
    atomic parts, for classes that tell characters beyond ASCII apart other than by ``\\w``, and beyond
    ``MOST_STEPS`` steps.
    """
    if old == new:
        return Relation.EQUAL, None
    try:
        lost = _outside(old, new)
        gained = _outside(new, old)
    except (InexactError, TooLargeError, RecursionError, OverflowError, re.error):
        return Relation.UNKNOWN, None
    if lost is None and gained is None:
        return Relation.EQUAL, None
    if lost is None or gained is None:
        return (Relation.WIDER, gained) if lost is None else (Relation.NARROWER, lost)
    return Relation.OVERLAPPING, lost


def same_parts(old: str, new: str) -> bool:
    """Whether the named groups are the same, in the same order, with the same between them.

    Texts that both patterns allow are then taken apart in the same way. Both patterns must compile.
    """
    one, other = _parser.parse(old), _parser.parse(new)
    if not one.state.groupdict and not other.state.groupdict:
        return True
    return bool(_outline(one, _names(one)) == _outline(other, _names(other)))


def _names(tree: Any) -> dict[int, str]:
    return {number: name for name, number in tree.state.groupdict.items()}


def _outline(value: Any, names: dict[int, str]) -> Any:
    """The parse tree with each named group as its name only."""
    if isinstance(value, tuple) and len(value) == 2 and value[0] is codes.SUBPATTERN:
        group, *rest = value[1]
        return names[group] if group in names else tuple(_outline(item, names) for item in rest)
    if isinstance(value, _parser.SubPattern | tuple | list):
        return tuple(_outline(item, names) for item in value)
    return value


def _outside(inner: str, outer: str) -> str | None:
    """A text that ``inner`` matches whole and ``outer`` does not, or None.

    Raises InexactError and TooLargeError.
    """
    (one, start_one), (other, start_other) = _automaton(inner), _automaton(outer)
    start: tuple[int, frozenset[int]] = (-1, frozenset({-1}))
    seen, waiting, steps = {start}, deque([(start, "")]), 0
    while waiting:
        (here, set_there), text = waiting.popleft()
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
                steps += 1 + len(following)
                sample = min(characters, key=_plainness)
                reached = frozenset(place for place in following if sample in other.takes[place])
                state = (step, reached)
                if state not in seen:
                    seen.add(state)
                    waiting.append((state, text + _BEYOND.get(sample, chr(sample))))
            if steps > MOST_STEPS:
                raise TooLargeError
    return None


def _automaton(pattern: str) -> tuple[Automaton, Part]:
    tree = _parser.parse(pattern)
    if tree.state.flags & ~re.UNICODE:
        raise InexactError
    _must_be_exact(tree)
    made = Automaton(many=ENDLESS, exact=True)
    return made, made.add(tree)


def _must_be_exact(tree: Any) -> None:
    """Raises InexactError where the automaton would take more or less than the pattern does."""
    for code, argument in tree:
        if code in (codes.LITERAL, codes.NOT_LITERAL):
            exact = argument < _ASCII
        elif code is codes.IN:
            exact = all(_exact_member(*member) for member in argument) and not _twice_negated(argument)
        elif code is codes.BRANCH:
            exact = True
            for option in argument[1]:
                _must_be_exact(option)
        elif code is codes.SUBPATTERN:
            exact = not argument[1] and not argument[2]
            _must_be_exact(argument[-1])
        elif code in (codes.MAX_REPEAT, codes.MIN_REPEAT):
            exact = argument[1] < ENDLESS or argument[1] is codes.MAXREPEAT
            _must_be_exact(argument[2])
        else:
            exact = code is codes.ANY
        if not exact:
            raise InexactError


def _exact_member(kind: Any, value: Any) -> bool:
    """Whether a member of a class takes all letters beyond ASCII or none, and so for all other characters."""
    if kind is codes.LITERAL:
        return bool(value < _ASCII)
    if kind is codes.RANGE:
        return bool(value[1] < _ASCII or (value[0] <= _ASCII and value[1] >= _LAST))
    return kind is codes.NEGATE or value in (codes.CATEGORY_WORD, codes.CATEGORY_NOT_WORD)


def _twice_negated(members: list[tuple[Any, Any]]) -> bool:
    return members[0][0] is codes.NEGATE and (codes.CATEGORY, codes.CATEGORY_NOT_WORD) in members


def _classes(taken: frozenset[int], others: list[frozenset[int]]) -> list[frozenset[int]]:
    """The characters of a position, split so that those of one part go the same ways in the others."""
    parts = [taken]
    for other in set(others):
        parts = [piece for part in parts for piece in (part & other, part - other) if piece]
    return parts


def _plainness(code: int) -> tuple[bool, bool, int]:
    char = chr(code)
    return (not char.isalnum(), not char.isprintable(), code)
