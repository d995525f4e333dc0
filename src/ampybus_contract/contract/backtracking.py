"""Patterns whose matching time can explode: those in which one text runs through two ways of one loop.

No kept-up package does this for Python's ``re`` (regexploit's last release is of 2021), so the parse tree is
turned into a position automaton here, and a loop that is ambiguous is looked for in its square: that is what
makes a backtracking matcher try 2^n ways. Repeats of ``MANY`` or more count as endless.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product
from re import _constants as codes  # type: ignore[attr-defined]  # the parse tree has no public module
from re import _parser  # type: ignore[attr-defined]
from typing import Any

MANY = 16
LONGEST_PATTERN = 2000
MOST_POSITIONS = 400
_OTHER = 128
_ALL = frozenset(range(_OTHER + 1))
_ASCII = [chr(code) for code in range(_OTHER)]
_CATEGORIES = {
    codes.CATEGORY_DIGIT: frozenset(ord(char) for char in _ASCII if char.isdigit()) | {_OTHER},
    codes.CATEGORY_SPACE: frozenset(ord(char) for char in _ASCII if char.isspace()),
    codes.CATEGORY_WORD: frozenset(ord(char) for char in _ASCII if char.isalnum() or char == "_") | {_OTHER},
}
_NEGATED = {
    codes.CATEGORY_NOT_DIGIT: codes.CATEGORY_DIGIT,
    codes.CATEGORY_NOT_SPACE: codes.CATEGORY_SPACE,
    codes.CATEGORY_NOT_WORD: codes.CATEGORY_WORD,
}


def explosive(pattern: str) -> str | None:
    """Why a pattern must not meet foreign texts, in words, or None. The pattern must compile."""
    if len(pattern) > LONGEST_PATTERN:
        return f"{len(pattern)} characters, more than {LONGEST_PATTERN}"
    automaton = Automaton()
    try:
        automaton.add(_parser.parse(pattern))
        for inner in automaton.asides:
            aside = Automaton()
            aside.add(inner)
            if aside.ambiguous_loop():
                return "a loop in which one text can be matched in several ways"
    except TooLargeError:
        return f"more than {MOST_POSITIONS} places once its repeats are written out"
    if automaton.ambiguous_loop():
        return "a loop in which one text can be matched in several ways"
    return None


class TooLargeError(Exception):
    """A pattern has more places than are looked at."""


@dataclass(slots=True)
class Part:
    """A piece of the automaton: whether it matches nothing, and the positions it can begin and end with."""

    empty: bool = True
    first: frozenset[int] = frozenset()
    last: frozenset[int] = frozenset()


@dataclass(slots=True)
class Automaton:
    """Positions with the characters they take, and which may follow which; ``doubled`` pairs in two ways.

    ``idle`` counts the choices between ways to match nothing at all; repeats of ``many`` count as endless.
    """

    takes: list[frozenset[int]] = field(default_factory=list)
    follow: dict[int, set[int]] = field(default_factory=dict)
    doubled: set[tuple[int, int]] = field(default_factory=set)
    asides: list[Any] = field(default_factory=list)
    idle: int = 0
    idle_in_loop: bool = False
    many: int = MANY

    def add(self, tree: Iterable[tuple[Any, Any]]) -> Part:
        """The parts of a sequence, one after another."""
        whole = Part()
        for code, argument in tree:
            whole = self._then(whole, self._part(code, argument))
        return whole

    def _part(self, code: Any, argument: Any) -> Part:
        if code in (codes.LITERAL, codes.NOT_LITERAL, codes.ANY, codes.IN):
            return self._position(_characters(code, argument))
        if code is codes.BRANCH:
            found = [self.add(option) for option in argument[1]]
            self.idle += sum(part.empty for part in found) > 1
            return Part(
                any(part.empty for part in found),
                frozenset().union(*(part.first for part in found)),
                frozenset().union(*(part.last for part in found)),
            )
        if code in (codes.SUBPATTERN, codes.ATOMIC_GROUP):
            return self.add(argument[-1] if code is codes.SUBPATTERN else argument)
        if code in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
            return self._repeat(*argument)
        if code in (codes.ASSERT, codes.ASSERT_NOT):
            self.asides.append(argument[1])
        return Part()

    def _repeat(self, low: int, high: int, body: Any) -> Part:
        if high >= self.many:
            idle = self.idle
            before = Part()
            for _ in range(min(low, self.many) - 1):
                before = self._then(before, self.add(body))
            part = self._loop(self.add(body))
            self.idle_in_loop |= self.idle > idle or (part.empty and low >= self.many)
            return self._then(before, Part(low == 0 or part.empty, part.first, part.last))
        whole = Part()
        for count in range(high):
            part = self.add(body)
            whole = self._then(whole, Part(count >= low or part.empty, part.first, part.last))
        return whole

    def _loop(self, part: Part) -> Part:
        for one, other in product(part.last, part.first):
            if other in self.follow[one]:
                self.doubled.add((one, other))
            self.follow[one].add(other)
        return part

    def _then(self, left: Part, right: Part) -> Part:
        for one in left.last:
            self.follow[one] |= right.first
        return Part(
            left.empty and right.empty,
            left.first | (right.first if left.empty else frozenset()),
            right.last | (left.last if right.empty else frozenset()),
        )

    def _position(self, characters: frozenset[int]) -> Part:
        if len(self.takes) >= MOST_POSITIONS:
            raise TooLargeError
        here = len(self.takes)
        self.takes.append(characters)
        self.follow[here] = set()
        return Part(False, frozenset({here}), frozenset({here}))

    def ambiguous_loop(self) -> bool:
        """Whether two different ways lead from one position back to it over the same text."""
        if self.idle_in_loop:
            return True
        if any(self._reaches(other, one) for one, other in self.doubled):
            return True
        return any(self._parts_and_meets(start) for start in self.follow if self._reaches(start, start))

    def _reaches(self, start: int, goal: int) -> bool:
        return goal in _closure(start, self.follow.__getitem__)

    def _parts_and_meets(self, start: int) -> bool:
        """Whether two runs from ``start`` part and come together there again, taking the same characters."""
        together: set[tuple[int, int]] = {(start, start)}
        seen: set[tuple[int, int, bool]] = set()
        waiting: list[tuple[int, int, bool]] = [(start, start, False)]
        while waiting:
            one, other, parted = waiting.pop()
            for left, right in product(self.follow[one], self.follow[other]):
                if not self.takes[left] & self.takes[right]:
                    continue
                now = parted or left != right
                if now and (left, right) in together:
                    return True
                state = (min(left, right), max(left, right), now)
                if state not in seen:
                    seen.add(state)
                    waiting.append(state)
        return False


def _closure(start: int, following: Any) -> set[int]:
    seen: set[int] = set()
    waiting = [start]
    while waiting:
        for item in following(waiting.pop()):
            if item not in seen:
                seen.add(item)
                waiting.append(item)
    return seen


def _characters(code: Any, argument: Any) -> frozenset[int]:
    if code is codes.ANY:
        return _ALL - {ord("\n")}
    if code is codes.LITERAL:
        return frozenset({min(argument, _OTHER)})
    if code is codes.NOT_LITERAL:
        return _ALL - {argument}
    negated = argument[0][0] is codes.NEGATE
    found = frozenset().union(*(_members(*item) for item in argument[1:] if negated), *(
        _members(*item) for item in argument if not negated
    ))  # fmt: skip
    return (_ALL - found) | {_OTHER} if negated else found


def _members(kind: Any, value: Any) -> frozenset[int]:
    if kind is codes.LITERAL:
        return frozenset({min(value, _OTHER)})
    if kind is codes.RANGE:
        low, high = value
        return frozenset(range(min(low, _OTHER), min(high, _OTHER) + 1))
    if value in _NEGATED:
        return (_ALL - _CATEGORIES[_NEGATED[value]]) | {_OTHER}
    return _CATEGORIES.get(value, _ALL)


def patterns(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every regular expression in the data of a spec file, with its path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            here = f"{path}/{key}"
            if isinstance(inner, str) and (key in PATTERN_KEYS or key.endswith("_pattern")):
                yield here, inner
            else:
                yield from patterns(inner, here)


PATTERN_KEYS = frozenset({"subtopic", "pattern", "screen"})


def compiles(pattern: str) -> str | None:
    """What is wrong with a pattern's syntax, or None."""
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return str(error) or type(error).__name__
    return None
