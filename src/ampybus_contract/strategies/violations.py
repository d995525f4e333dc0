"""Envelopes that break one requirement and keep all others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from hypothesis import reject
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.errors import StrategyError
from ampybus_contract.strategies.break_extras import extra_ways
from ampybus_contract.strategies.break_headers import header_ways
from ampybus_contract.strategies.break_keys import key_ways
from ampybus_contract.strategies.break_payloads import payload_ways
from ampybus_contract.strategies.break_topics import topic_ways
from ampybus_contract.strategies.breaking import Way
from ampybus_contract.strategies.entropy import Entropy
from ampybus_contract.strategies.envelope_maker import EnvelopeMaker, Shape
from ampybus_contract.strategies.header_values import trial
from ampybus_contract.strategies.public import MAKERS_KEPT, entropy, maker_of, with_texts

_TRIALS = 4


def invalid_envelopes(requirement: str, *, contract: Contract | None = None) -> SearchStrategy[Envelope]:
    """Envelopes that violate ``requirement`` and no other.

    Raises StrategyError for an id that the contract does not have, and for a requirement that no single
    envelope can violate: those on delivery, or on something that no domain uses.
    """
    maker = maker_of(contract)
    ways = narrowed_ways(maker).get(requirement)
    if not ways:
        known = requirement in maker.contract.requirements
        got = f"{requirement!r}, which no single envelope can" if known else f"{requirement!r}"
        raise StrategyError(
            f"STRATEGY expected a requirement that an envelope can violate, got {got}. "
            "Fix: choose one of breakable_requirements()"
        )
    return _invalid(maker, ways)


def breakable_requirements(contract: Contract | None = None) -> frozenset[str]:
    """The ids that ``invalid_envelopes`` takes."""
    return frozenset(narrowed_ways(maker_of(contract)))


@lru_cache(MAKERS_KEPT)
def narrowed_ways(maker: EnvelopeMaker) -> Mapping[str, list[Way]]:
    """The ways to break each requirement, over the shapes that they can work for; nobody may change them."""
    found = {
        name: [way for way in (_narrowed(maker, way) for way in ways) if way.shapes]
        for name, ways in _ways(maker).items()
    }
    return {name: ways for name, ways in found.items() if ways}


@st.composite
def _invalid(draw: DrawFn, maker: EnvelopeMaker, ways: list[Way]) -> Envelope:
    way = ways[draw(st.integers(0, len(ways) - 1))]
    shape = way.shapes[draw(st.integers(0, len(way.shapes) - 1))]
    made = maker.make(shape, draw(entropy()), with_texts(draw, maker, way.wish))
    broken = way.change(made, shape, draw(st.binary(min_size=32, max_size=32).map(Entropy)))
    return broken if broken is not None else reject()


@lru_cache(MAKERS_KEPT)
def _ways(maker: EnvelopeMaker) -> Mapping[str, list[Way]]:
    found: dict[str, list[Way]] = {}
    for source in (topic_ways, header_ways, payload_ways, key_ways, extra_ways):
        for way in source(maker):
            found.setdefault(way.requirement, []).append(way)
    return found


@lru_cache(1024)
def _narrowed(maker: EnvelopeMaker, way: Way) -> Way:
    """The way over the shapes that it can work for."""
    if not way.partial:
        return way
    return replace(way, shapes=tuple(shape for shape in way.shapes if _works(maker, way, shape)))


def _works(maker: EnvelopeMaker, way: Way, shape: Shape) -> bool:
    return any(
        way.change(maker.make(shape, trial(number), way.wish), shape, trial(number)) is not None
        for number in range(_TRIALS)
    )
