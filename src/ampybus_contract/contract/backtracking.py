"""Patterns whose matching time can explode: those in which one text runs through two ways of one loop.

No kept-up package does this for Python's ``re`` (regexploit's last release is of 2021), so the parse tree is
turned into a position automaton here, and a loop that is ambiguous is looked for in its square: that is what
makes a backtracking matcher try 2^n ways. Two loops that can share one text in several ways, as in ``.*.*=``,
cost n^2 or more; they are looked for in its cube (Weber and Seidl, EDA and IDA). Repeats of ``MANY``
or more count as endless.
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
MOST_STEPS = 100_000
_LOOP = "a loop in which one text can be matched in several ways"
_UNREAD = "flags, conditions, or references to groups, whose cost cannot be told"
_LOOPS = "two loops that can share one text in several ways"
LETTERS, REST = 128, 129
"""Beyond ASCII: what ``\\w`` takes, and what it does not, spaces among them."""
_ALL = frozenset(range(REST + 1))
_ASCII = [chr(code) for code in range(LETTERS)]
_CATEGORIES = {
    codes.CATEGORY_DIGIT: frozenset(ord(char) for char in _ASCII if char.isdigit()) | {LETTERS},
    codes.CATEGORY_SPACE: frozenset(ord(char) for char in _ASCII if char.isspace()) | {REST},
    codes.CATEGORY_WORD: frozenset(ord(char) for char in _ASCII if char.isalnum() or char == "_") | {LETTERS},
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
    tree = _parser.parse(pattern)
    if tree.state.flags & ~re.UNICODE:
        return _UNREAD
    try:
        automaton.add(tree)
        for inner in automaton.asides:
            aside = Automaton()
            aside.add(inner)
            automaton.asides += aside.asides
            if (found := aside.trouble()) is not None:
                return found
        return automaton.trouble()
    except TooLargeError:
        return f"more than {MOST_POSITIONS} places or {MOST_STEPS} steps to judge it by"


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

    ``idle`` counts the choices between ways to match nothing at all, ``times`` how often the repeats around
    a part repeat it: ``(a{0,9}){0,9}`` is as bad as two loops, unless ``exact``.
    Repeats of ``many`` count as endless.
    """

    takes: list[frozenset[int]] = field(default_factory=list)
    follow: dict[int, set[int]] = field(default_factory=dict)
    doubled: set[tuple[int, int]] = field(default_factory=set)
    asides: list[Any] = field(default_factory=list)
    idle: int = 0
    idle_in_loop: bool = False
    many: int = MANY
    times: int = 1
    exact: bool = False
    loops: int = 0
    unread: bool = False

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
        if code is codes.SUBPATTERN:
            self.unread |= bool(argument[1] & ~re.UNICODE or argument[2])
            return self.add(argument[-1])
        if code is codes.ATOMIC_GROUP:
            return self.add(argument)
        if code in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
            return self._repeat(*argument)
        if code in (codes.ASSERT, codes.ASSERT_NOT):
            self.asides.append(argument[1])
        elif code is not codes.AT:
            self.unread |= code is not codes.GROUPREF or self.loops > 0
        return Part()

    def _repeat(self, low: int, high: int, body: Any) -> Part:
        around, times = self.times, self.times * min(high, self.many)
        endless = high >= self.many or (times >= self.many and low != high and not self.exact)
        self.times = 1 if endless else times
        self.loops += endless
        try:
            return self._repeated(low, high, body, endless)
        finally:
            self.times = around
            self.loops -= endless

    def _repeated(self, low: int, high: int, body: Any, endless: bool) -> Part:
        if endless and high > 1:
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

    def trouble(self) -> str | None:
        """What makes matching take exponential or polynomial time, or hides that it does, in words."""
        if self.unread:
            return _UNREAD
        if self.ambiguous_loop():
            return _LOOP
        return _LOOPS if self._shared_loops() else None

    def _shared_loops(self) -> bool:
        """Whether some text leads from one loop back to it, from it to a second, and back to the second."""
        ahead = self._ahead()
        looping = [start for start in ahead if start in ahead[start]]
        steps = 0
        for one in looping:
            for other in looping:
                if other not in ahead[one] or one in ahead[other]:
                    continue
                steps += 1
                seen = {(one, one, other)}
                waiting = [(one, one, other)]
                while waiting:
                    for state in self._together(waiting.pop()):
                        steps += 1
                        if state == (one, other, other):
                            return True
                        left, between, right = state
                        kept = one in ahead[left] and other in ahead[between] and other in ahead[right]
                        if kept and state not in seen:
                            seen.add(state)
                            waiting.append(state)
                    if steps > MOST_STEPS:
                        raise TooLargeError
        return False

    def _together(self, state: tuple[int, int, int]) -> Iterator[tuple[int, int, int]]:
        """The states that three runs come to by taking one same character."""
        one, two, three = (self.follow[item] for item in state)
        for left, between in product(one, two):
            shared = self.takes[left] & self.takes[between]
            if shared:
                yield from ((left, between, right) for right in three if shared & self.takes[right])

    def ambiguous_loop(self) -> bool:
        """Whether two different ways lead from one position back to it over the same text."""
        if self.idle_in_loop:
            return True
        ahead = self._ahead()
        if any(one in ahead[other] for one, other in self.doubled):
            return True
        return any(self._parts_and_meets(start, ahead) for start in ahead if start in ahead[start])

    def _ahead(self) -> dict[int, set[int]]:
        """The positions that can come after each, at any distance (Warshall, over bits)."""
        reach = [sum(1 << item for item in self.follow[start]) for start in range(len(self.takes))]
        for middle in range(len(reach)):
            for start in range(len(reach)):
                if reach[start] >> middle & 1:
                    reach[start] |= reach[middle]
        return {
            start: {item for item in range(len(reach)) if bits >> item & 1}
            for start, bits in enumerate(reach)
        }

    def _parts_and_meets(self, start: int, ahead: dict[int, set[int]]) -> bool:
        """Whether two runs from ``start`` part and come together there again, taking the same characters."""
        together: set[tuple[int, int]] = {(start, start)}
        seen: set[tuple[int, int, bool]] = set()
        waiting: list[tuple[int, int, bool]] = [(start, start, False)]
        while waiting:
            one, other, parted = waiting.pop()
            for left, right in product(self.follow[one], self.follow[other]):
                returning = start in ahead[left] and start in ahead[right]
                if not returning or not self.takes[left] & self.takes[right]:
                    continue
                now = parted or left != right
                if now and (left, right) in together:
                    return True
                state = (min(left, right), max(left, right), now)
                if state not in seen:
                    seen.add(state)
                    waiting.append(state)
        return False


def _characters(code: Any, argument: Any) -> frozenset[int]:
    if code is codes.ANY:
        return _ALL - {ord("\n")}
    if code is codes.LITERAL:
        return frozenset({_symbol(argument)})
    if code is codes.NOT_LITERAL:
        return _ALL - {argument}
    negated = argument[0][0] is codes.NEGATE
    members = argument[1:] if negated else argument
    found = frozenset().union(*(_members(*item) for item in members))
    if not negated:
        return found
    whole = frozenset().union(*(_beyond_ascii(*item) for item in members))
    return (_ALL - found) | ({LETTERS, REST} - whole)


def _symbol(code: int) -> int:
    if code < LETTERS:
        return code
    return LETTERS if re.match(r"\w", chr(code)) else REST


def _members(kind: Any, value: Any) -> frozenset[int]:
    if kind is codes.LITERAL:
        return frozenset({_symbol(value)})
    if kind is codes.RANGE:
        low, high = value
        beyond = {LETTERS, REST} if high >= LETTERS else set()
        return frozenset(range(low, min(high, LETTERS - 1) + 1)) | beyond
    if value in _NEGATED:
        return (_ALL - _CATEGORIES[_NEGATED[value]]) | {REST, *([] if value is _NOT_WORD else [LETTERS])}
    return _CATEGORIES.get(value, _ALL)


def _beyond_ascii(kind: Any, value: Any) -> frozenset[int]:
    """Which of the symbols beyond ASCII a member of a class takes whole."""
    if kind is codes.RANGE and value[0] <= LETTERS and value[1] >= 0x10FFFF:
        return frozenset({LETTERS, REST})
    return frozenset({LETTERS}) if value is codes.CATEGORY_WORD else frozenset()


_NOT_WORD = codes.CATEGORY_NOT_WORD


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
