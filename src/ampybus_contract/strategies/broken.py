"""Envelopes that break one requirement, chosen by a number and not by Hypothesis: the same, always."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import shake_256
from random import Random

from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope, uuid7
from ampybus_contract.errors import StrategyError
from ampybus_contract.strategies.breaking import Way
from ampybus_contract.strategies.entropy import Entropy
from ampybus_contract.strategies.envelope_maker import EnvelopeMaker, Made, Shape, Wish
from ampybus_contract.strategies.header_values import trial
from ampybus_contract.strategies.public import ENTROPY_BYTES, maker_of
from ampybus_contract.strategies.violations import narrowed_ways

KEPT = 2_048
_ATTEMPTS = 8
_ID_BITS = 74
_MILLISECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Break:
    """One way to break a requirement in one domain; ``way`` counts those of the requirement from 0."""

    requirement: str
    domain: str
    way: int


@dataclass(frozen=True, slots=True)
class Broken:
    """An envelope that breaks one requirement, and two valid ones of the payload that it was made from.

    These are plain and small, and each of the three has an id of its own.
    """

    spot: Break
    envelope: Envelope
    before: Envelope
    after: Envelope


def breaks(contract: Contract | None = None) -> tuple[Break, ...]:
    """Every way to break a requirement by a single envelope, in each domain where it can be."""
    maker = maker_of(contract)
    return tuple(
        Break(requirement, domain, number)
        for requirement, ways in sorted(narrowed_ways(maker).items())
        for number, way in enumerate(ways)
        for domain in dict.fromkeys(shape.domain for shape in way.shapes)
    )


def covering(spots: tuple[Break, ...], seed: int) -> tuple[Break, ...]:
    """Few of the ways: each requirement in each domain where it can be broken, and each way somewhere.

    Which way meets which domain follows from the seed.
    """
    pairs: dict[tuple[str, str], list[Break]] = {}
    for spot in _shuffled(spots, seed):
        pairs.setdefault((spot.requirement, spot.domain), []).append(spot)
    met: set[tuple[str, int]] = set()
    chosen: list[Break] = []
    for found in pairs.values():
        best = next((spot for spot in found if (spot.requirement, spot.way) not in met), found[0])
        met.add((best.requirement, best.way))
        chosen.append(best)
    for spot in _shuffled(spots, seed):
        if (spot.requirement, spot.way) not in met:
            met.add((spot.requirement, spot.way))
            chosen.append(spot)
    return tuple(sorted(chosen, key=spots.index))


def one_each(spots: tuple[Break, ...], seed: int) -> tuple[Break, ...]:
    """One way for each requirement, in a domain that follows from the seed."""
    chosen: dict[str, Break] = {}
    for spot in _shuffled(spots, seed):
        chosen.setdefault(spot.requirement, spot)
    return tuple(sorted(chosen.values(), key=spots.index))


def broken(spot: Break, seed: int, *, env: str = "", contract: Contract | None = None) -> Broken:
    """The envelope of a way, in an environment or in one that follows from the seed.

    The same arguments give the same envelope. Raises StrategyError for a way that the contract does not have.
    """
    return _broken(maker_of(contract), spot, seed, env)


@lru_cache(KEPT)
def _broken(maker: EnvelopeMaker, spot: Break, seed: int, env: str) -> Broken:
    ways = narrowed_ways(maker).get(spot.requirement, [])
    shapes = ways[spot.way].shapes if spot.way < len(ways) else ()
    shapes = tuple(shape for shape in shapes if shape.domain == spot.domain)
    if not shapes:
        raise StrategyError(f"STRATEGY expected one of breaks(), got {spot}. Fix: choose one of them")
    way, chooser = ways[spot.way], Random(f"{seed} {spot} {env}")
    shape = chooser.choice(shapes)
    for data, more in _entropies(chooser):
        made = _named(maker.make(shape, Entropy(data), _in(way.wish, env, maker)), chooser)
        found = way.change(made, shape, Entropy(more))
        if found is not None:
            return Broken(spot, found, *_beside(maker, shape, data, env, chooser))
    return _by_trial(maker, way, shapes, spot, env)


def _by_trial(maker: EnvelopeMaker, way: Way, shapes: tuple[Shape, ...], spot: Break, env: str) -> Broken:
    """By the entropy that showed that the way works at all, for ways that seldom do."""
    chooser = Random(f"{spot} {env}")
    for shape in shapes:
        for number in range(_ATTEMPTS):
            made = _named(maker.make(shape, trial(number), _in(way.wish, env, maker)), chooser)
            found = way.change(made, shape, trial(number))
            if found is not None:
                return Broken(spot, found, *_beside(maker, shape, b"", env, chooser))
    raise StrategyError(f"STRATEGY expected {spot} to work, it did not. Fix: choose another one of breaks()")


def _entropies(chooser: Random) -> Iterator[tuple[bytes, bytes]]:
    for _ in range(_ATTEMPTS):
        drawn = shake_256(chooser.randbytes(16)).digest(ENTROPY_BYTES + 32)
        yield drawn[:ENTROPY_BYTES], drawn[ENTROPY_BYTES:]


def _in(wish: Wish, env: str, maker: EnvelopeMaker) -> Wish:
    """The wish with an environment, and with the example for each header that no maker can make."""
    texts = {name: rule.example for name, rule in maker.headers.values.unmade.items()}
    return replace(wish, env=env or wish.env, headers=texts)


def _named(made: Made, chooser: Random) -> Made:
    """With an id that no other envelope has."""
    return replace(made, envelope=_renamed(made.envelope, made.produced, chooser))


def _renamed(envelope: Envelope, produced: int, chooser: Random) -> Envelope:
    identity = str(uuid7(max(produced, 0) // _MILLISECOND, chooser.getrandbits(_ID_BITS)))
    return replace(envelope, headers=envelope.headers.with_(message_id=identity))


def _beside(
    maker: EnvelopeMaker, shape: Shape, data: bytes, env: str, chooser: Random
) -> tuple[Envelope, Envelope]:
    made = maker.make(shape, Entropy(data), _in(Wish(), env, maker))
    before, after = (_renamed(made.envelope, made.produced, chooser) for _ in range(2))
    return before, after


def _shuffled(spots: tuple[Break, ...], seed: int) -> list[Break]:
    found = list(spots)
    Random(f"breaks {seed}").shuffle(found)
    return found
