"""Ways to break exactly one requirement, found by the role it plays in the contract, not by its id."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ampybus_contract.envelope import Envelope
from ampybus_contract.strategies.entropy import Entropy
from ampybus_contract.strategies.envelope_maker import EnvelopeMaker, Made, Shape, Wish

Change = Callable[[Made, Shape, Entropy], Envelope | None]


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """One way: a valid envelope of one of ``shapes``, made as wished, and a change that breaks it.

    The change gives None where it does not apply to an envelope; ``partial`` says that this depends on the
    shape.
    """

    requirement: str
    shapes: tuple[Shape, ...]
    change: Change
    wish: Wish = field(default_factory=Wish)
    partial: bool = False


def own_shapes(maker: EnvelopeMaker) -> tuple[Shape, ...]:
    """The shapes of the domains that carry payloads of their own."""
    return tuple(shape for shape in maker.shapes() if shape.fqdn)


def with_topic(made: Made, topic: str) -> Envelope:
    """The envelope on another topic."""
    return Envelope(topic, made.envelope.headers, made.envelope.payload)


def with_headers(made: Made, **changes: str | None) -> Envelope:
    """The envelope with some headers set, or removed where None."""
    return Envelope(made.envelope.topic, made.envelope.headers.with_(**changes), made.envelope.payload)


def one_of(candidates: Iterable[str], wrong: Callable[[str], bool], entropy: Entropy) -> str | None:
    """One of the candidates that are wrong in the way asked for, or None."""
    found = [text for text in dict.fromkeys(candidates) if wrong(text)]
    return entropy.choice(found) if found else None
