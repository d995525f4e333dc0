"""Hypothesis strategies over the makers: few draws for each value, and their bytes decide everything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from google.protobuf.message import Message
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from ampybus_contract.contract import Contract, default_contract
from ampybus_contract.envelope import Envelope, Headers
from ampybus_contract.envelope.registry import message_type
from ampybus_contract.errors import StrategyError
from ampybus_contract.strategies.entropy import Entropy
from ampybus_contract.strategies.envelope_maker import EnvelopeMaker, Shape, Wish
from ampybus_contract.strategies.header_values import keeps
from ampybus_contract.strategies.messages import Messages
from ampybus_contract.strategies.values import Moment, start

ENTROPY_BYTES = 256
MAKERS_KEPT = 8
_makers: list[EnvelopeMaker] = []


def maker_of(contract: Contract | None) -> EnvelopeMaker:
    """The maker of a contract, the shipped one for None; the last few are kept."""
    wanted = contract or default_contract()
    for maker in _makers:
        if maker.contract is wanted:
            return maker
    maker = EnvelopeMaker(wanted)
    _makers.insert(0, maker)
    del _makers[MAKERS_KEPT:]
    return maker


def entropy(size: int = ENTROPY_BYTES) -> SearchStrategy[Entropy]:
    """Bytes of a fixed number, which shrink towards zero and so towards the simplest values."""
    return st.binary(min_size=size, max_size=size).map(Entropy)


def envelopes(domain: str | None = None, *, contract: Contract | None = None) -> SearchStrategy[Envelope]:
    """Envelopes that keep the contract: no finding of any level.

    ``contract`` is the shipped one for None; ``domain`` narrows to one of its domains. Boundaries come often:
    payloads one byte below, at and above the compression threshold, empty ones, pointers, single nanoseconds.
    Raises StrategyError for a domain that the contract does not have.
    """
    maker = maker_of(contract)
    return _envelopes(maker, maker.shapes(domain), wishes(maker.contract))


def topics(domain: str | None = None, *, contract: Contract | None = None) -> SearchStrategy[str]:
    """Concrete topics of all domains or one; ``Topic.parse`` takes them apart."""
    maker = maker_of(contract)
    return _envelopes(maker, maker.shapes(domain), [Wish()]).map(_topic)


def headers(domain: str | None = None, *, contract: Contract | None = None) -> SearchStrategy[Headers]:
    """Header sets as envelopes carry them, with optional and unknown headers."""
    return envelopes(domain, contract=contract).map(_headers)


def payloads(fqdn: str, *, contract: Contract | None = None) -> SearchStrategy[Message]:
    """Decoded messages of a payload type, such as ``ampy.bars.v1.Bar``, that mean something.

    The items of a batch are independent of one another; in ``envelopes`` they share a key. Raises
    StrategyError for a name that is no payload type.
    """
    kind = message_type(fqdn)
    if kind is None:
        raise StrategyError(f"STRATEGY expected a payload type, got {fqdn!r}. Fix: name a type of ampy-proto")
    maker = maker_of(contract)
    messages, meaning = Messages(maker.contract.meaning), maker.contract.meaning

    def fill(source: Entropy) -> Message:
        message = kind()
        moment = Moment(source, start(meaning, source), make_header=maker.headers.values.make)
        messages.fill(message, moment)
        return message

    return entropy().map(fill)


def wishes(contract: Contract) -> list[Wish]:
    """Kinds of envelopes, the simplest first, each as often as it is listed."""
    at = contract.payload.compress_above
    edges = [Wish(size=at - 1), Wish(size=at), Wish(size=at + 1)]
    rare = [Wish(packed=True), Wish(empty=True), Wish(empty=True, packed=True), Wish(pointer=True)]
    return [Wish()] * 25 + rare + edges


@st.composite
def _envelopes(
    draw: DrawFn, maker: EnvelopeMaker, shapes: Sequence[Shape], wished: Sequence[Wish]
) -> Envelope:
    shape = shapes[draw(st.integers(0, len(shapes) - 1))]
    wish = wished[draw(st.integers(0, len(wished) - 1))]
    return maker.make(shape, draw(entropy()), with_texts(draw, maker, wish)).envelope


def with_texts(draw: DrawFn, maker: EnvelopeMaker, wish: Wish) -> Wish:
    """A wish with texts for the headers whose patterns only Hypothesis can follow."""
    unmade = maker.headers.values.unmade
    if not unmade:
        return wish
    texts = {
        name: draw(st.from_regex(rule.pattern, fullmatch=True).filter(_keeping(maker.contract, name)))
        for name, rule in unmade.items()
    }
    return replace(wish, headers=texts)


def _keeping(contract: Contract, name: str) -> Callable[[str], bool]:
    return lambda text: keeps(contract.headers[name], text, contract)


def _topic(envelope: Envelope) -> str:
    return envelope.topic


def _headers(envelope: Envelope) -> Headers:
    return envelope.headers
