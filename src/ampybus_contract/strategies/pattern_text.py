"""Text for a regular expression, decided by bytes: as Hypothesis does, but cheap enough for every header."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from re import _constants as codes  # type: ignore[attr-defined]  # the parse tree has no public module
from re import _parser  # type: ignore[attr-defined]
from typing import Any

from ampybus_contract.strategies.entropy import Entropy

_MANY = 12
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))
_WIDER = _PRINTABLE + "äéß日🙂"
_CATEGORIES = {
    codes.CATEGORY_DIGIT: "0123456789",
    codes.CATEGORY_SPACE: " \t",
    codes.CATEGORY_WORD: "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_",
}


class UnsupportedPatternError(Exception):
    """The pattern has a construct that text is not made for here."""


class PatternText:
    """Makes text for a pattern; lookarounds are not followed, so that each text must be matched afterwards.

    Raises UnsupportedPatternError on construction for back-references and conditionals.
    """

    def __init__(self, pattern: re.Pattern[str]) -> None:
        tree = _parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE)
        self._names = {number: name for name, number in pattern.groupindex.items()}
        self._parts = self._compile(tree)

    def make(self, entropy: Entropy, groups: Mapping[str, str] | None = None) -> str:
        """A text; named groups that are in ``groups`` get that text unexamined."""
        return _text(self._parts, entropy, groups or {})

    def _compile(self, tree: Iterable[tuple[Any, Any]]) -> list[tuple[str, Any]]:
        return [part for code, argument in tree for part in self._part(code, argument)]

    def _part(self, code: Any, argument: Any) -> list[tuple[str, Any]]:
        if code in (codes.IN, codes.NOT_LITERAL, codes.ANY, codes.LITERAL):
            return [("class", _alphabet(code, argument))]
        if code is codes.BRANCH:
            return [("branch", [self._compile(option) for option in argument[1]])]
        if code is codes.SUBPATTERN:
            inner = self._compile(argument[-1])
            name = self._names.get(argument[0])
            return [("group", (name, inner))] if name else inner
        if code in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
            low, high, body = argument
            return [("repeat", (low, min(high, low + _MANY), self._compile(body)))]
        if code not in (codes.AT, codes.ASSERT, codes.ASSERT_NOT, codes.ATOMIC_GROUP):
            raise UnsupportedPatternError(str(code))
        return self._compile(argument) if code is codes.ATOMIC_GROUP else []


def _text(parts: list[tuple[str, Any]], entropy: Entropy, groups: Mapping[str, str]) -> str:
    found: list[str] = []
    for kind, argument in parts:
        if kind == "class":
            found.append(entropy.choice(argument))
        elif kind == "branch":
            found.append(_text(entropy.choice(argument), entropy, groups))
        elif kind == "group":
            name, inner = argument
            found.append(groups[name] if name in groups else _text(inner, entropy, groups))
        else:
            found.append(_repeated(argument, entropy, groups))
    return "".join(found)


def _repeated(
    argument: tuple[int, int, list[tuple[str, Any]]], entropy: Entropy, groups: Mapping[str, str]
) -> str:
    low, high, body = argument
    count = low + entropy.below(high - low + 1)
    if len(body) == 1 and body[0][0] == "class" and count >= 8:
        alphabet = body[0][1]
        wide = entropy.noise(8 * count if count <= 64 else 512)
        return "".join(alphabet[(wide >> (8 * (index % 64)) & 255) % len(alphabet)] for index in range(count))
    return "".join(_text(body, entropy, groups) for _ in range(count))


def _alphabet(code: Any, argument: Any) -> str:
    if code is codes.LITERAL:
        return chr(argument)
    if code is codes.ANY:
        return _simplest_first(_WIDER)
    if code is codes.NOT_LITERAL:
        return _simplest_first(_WIDER.replace(chr(argument), ""))
    negated = argument[0][0] is codes.NEGATE
    members: list[str] = []
    for kind, value in argument[1:] if negated else argument:
        if kind is codes.LITERAL:
            members.append(chr(value))
        elif kind is codes.RANGE:
            members += map(chr, range(value[0], min(value[1], value[0] + 255) + 1))
        elif kind is codes.CATEGORY and value in _CATEGORIES:
            members += _CATEGORIES[value]
        else:
            raise UnsupportedPatternError(str(value))
    if negated:
        members = [char for char in _WIDER if char not in members]
    if not members:
        raise UnsupportedPatternError("an empty class")
    return _simplest_first("".join(dict.fromkeys(members)))


def _simplest_first(alphabet: str) -> str:
    return "".join(sorted(alphabet, key=lambda char: (not char.isalnum(), char.isupper(), char)))
