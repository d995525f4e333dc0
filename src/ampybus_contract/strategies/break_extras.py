"""Ways to break the rules of the schema hash, of a dead letter's origin, and of personal data."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from ampybus_contract.envelope import Envelope
from ampybus_contract.strategies.breaking import Way, own_shapes, with_headers
from ampybus_contract.strategies.entropy import Entropy
from ampybus_contract.strategies.envelope_maker import EnvelopeMaker, Made, Shape

_UNDECLARED = b"\xc0\x3e\x01"


def extra_ways(maker: EnvelopeMaker) -> Iterator[Way]:
    """Another schema's hash, a foreign origin, an undeclared field, and a text of each kind of detector."""
    contract, privacy = maker.contract, maker.contract.privacy
    free = next(name for number in count() if (name := f"note_{number}") not in contract.headers)

    def other_hash(made: Made, _shape: Shape, _entropy: Entropy) -> Envelope | None:
        return with_headers(made, schema_hash="sha256:" + "0" * 64)

    def personal(made: Made, _shape: Shape, entropy: Entropy) -> Envelope | None:
        return with_headers(made, **{free: entropy.choice([item.example for item in privacy.detectors])})

    def undeclared(made: Made, _shape: Shape, _entropy: Entropy) -> Envelope | None:
        plain = "content_encoding" not in made.envelope.headers
        payload = made.envelope.payload + _UNDECLARED
        return Envelope(made.envelope.topic, made.envelope.headers, payload) if plain else None

    own = own_shapes(maker)
    guarded = tuple(shape for shape in own if shape.domain in privacy.domains)
    yield Way(contract.payload.requirements["hash"], own, other_hash)
    yield Way(privacy.requirements["text"], guarded, personal)
    yield Way(privacy.requirements["fields"], guarded, undeclared, partial=True)
    for domain in contract.domains.values():
        if (rule := domain.origin) is not None:
            name = rule["header"]

            def foreign(made: Made, _shape: Shape, _e: Entropy, name: str = name) -> Envelope | None:
                prefix, _env, rest = made.envelope.headers[name].split(".", 2)
                return with_headers(made, **{name: f"{prefix}.nowhere.{rest}"})

            yield Way(rule["requirement"], tuple(maker.shapes(domain.name)), foreign)
