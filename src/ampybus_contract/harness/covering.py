"""Covering arrays: few rows in which every value, pair or triple of values of several factors appears."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, product
from math import prod

Row = dict[str, str]
_Part = tuple[tuple[str, str], ...]


def covering_rows(factors: Mapping[str, Sequence[str]], strength: int, seed: int) -> list[Row]:
    """Rows with one value of each factor, in which each combination of the values of ``strength`` factors is.

    Greedy: each row begins with a combination that no row has yet and takes, factor by factor, the value that
    covers most of what is left. The same seed gives the same rows. Raises ValueError for a strength below 1.
    """
    if strength < 1:
        raise ValueError(f"expected a strength of 1 or more, got {strength}")
    width = min(strength, len(factors))
    left = dict.fromkeys(_parts(factors, width))
    draw = random.Random(f"covering {seed}")
    rows: list[Row] = []
    while left:
        rows.append(_row(factors, width, next(iter(left)), left, draw))
        for part in _parts({name: [value] for name, value in rows[-1].items()}, width):
            left.pop(part, None)
    return rows


def covered(rows: Iterable[Mapping[str, str]], factors: Mapping[str, Sequence[str]]) -> tuple[int, int]:
    """How many pairs of values are in the rows, and how many there are."""
    seen = {part for row in rows for part in _parts({name: [value] for name, value in row.items()}, 2)}
    return len(seen), sum(prod(map(len, pair)) for pair in combinations(factors.values(), 2))


def _parts(factors: Mapping[str, Sequence[str]], width: int) -> Iterable[_Part]:
    for names in combinations(sorted(factors), width):
        for values in product(*(factors[name] for name in names)):
            yield tuple(zip(names, values, strict=True))


def _row(
    factors: Mapping[str, Sequence[str]],
    width: int,
    first: _Part,
    left: Mapping[_Part, None],
    draw: random.Random,
) -> Row:
    row = dict(first)
    rest = [name for name in factors if name not in row]
    draw.shuffle(rest)
    for name in rest:
        others = list(combinations(sorted(row), width - 1))
        best: list[str] = []
        most = -1
        for value in factors[name]:
            gain = sum(
                tuple(sorted([(name, value), *((other, row[other]) for other in names)])) in left
                for names in others
            )
            if gain > most:
                best, most = [value], gain
            elif gain == most:
                best.append(value)
        row[name] = draw.choice(best)
    return row
