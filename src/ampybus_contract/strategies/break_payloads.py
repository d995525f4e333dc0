"""Ways to break the requirements on payload, sizes and pointers."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import replace

from ampybus_contract.contract import DomainRule
from ampybus_contract.envelope import Envelope
from ampybus_contract.envelope.codec import compress
from ampybus_contract.strategies.breaking import Change, Way, one_of, own_shapes, with_headers, with_topic
from ampybus_contract.strategies.entropy import Entropy
from ampybus_contract.strategies.envelope_maker import GZIP, EnvelopeMaker, Made, Shape, Wish

_POINTER_WITHOUT_PAYLOAD = "blob_ref"


def payload_ways(maker: EnvelopeMaker) -> Iterator[Way]:
    """A way for each role in the payload and pointer rules, and for payload hashes of domains."""
    broken = _Payloads(maker)
    contract, own = maker.contract, own_shapes(maker)
    ids, limits = contract.payload.requirements, contract.payload
    yield Way(ids["type"], own, broken.type)
    for domain in contract.domains.values():
        for alias, fqdn in domain.aliases.items():
            yield Way(ids["alias"], (Shape(domain.name, fqdn),), _renamed(alias))
    yield Way(ids["decode"], own, broken.undecodable)
    yield Way(ids["encoding"], own, broken.not_packed)
    yield Way(ids["encoding"], own, broken.truncated, Wish(packed=True))
    more = Wish(size=limits.compress_above + 1)
    yield Way(ids["compress"], own, broken.unpacked, more, partial=True)
    yield Way(ids["sent"], own, broken.too_large, Wish(size=limits.sent_below), partial=True)
    yield Way(ids["version"], own, broken.schema_major)
    yield Way(ids["version"], own, broken.topic_major)
    pointer = contract.pointer_requirements
    yield Way(pointer["complete"], own, broken.half_pointer, Wish(pointer=True), partial=True)
    yield Way(pointer["complete"], own, broken.pointer_parts, Wish(empty=True), partial=True)
    yield Way(pointer["empty"], own, broken.pointer_with_payload, Wish(pointer=True))
    for domain in contract.domains.values():
        if domain.payload_hash:
            yield Way(
                domain.payload_hash["requirement"], tuple(maker.shapes(domain.name)), _other_hash(domain)
            )


class _Payloads:
    def __init__(self, maker: EnvelopeMaker) -> None:
        self.maker, self.contract = maker, maker.contract

    def type(self, made: Made, shape: Shape, entropy: Entropy) -> Envelope | None:
        rule = self.contract.domains[shape.domain]
        package, _, name = shape.fqdn.rpartition(".")
        others = [other.fqdn for other in own_shapes(self.maker)]
        texts = (f"{package}.{name}X", *others, f"other.{shape.fqdn}", "google.protobuf.Any")
        pattern = self.contract.headers["schema_fqdn"].pattern

        def wrong(text: str) -> bool:
            return text not in rule.payloads and text not in rule.aliases and bool(pattern.fullmatch(text))

        text = one_of(texts, wrong, entropy)
        return None if text is None else with_headers(made, schema_fqdn=text)

    def undecodable(self, made: Made, _shape: Shape, entropy: Entropy) -> Envelope:
        junk = entropy.choice((b"\xff", b"\x0f", b"\x0a\x7f"))
        plain = made.plain + junk if entropy.chance(128) else junk
        packed = entropy.chance(64)
        payload = compress(plain) if packed else plain
        headers = made.envelope.headers.with_(content_encoding=GZIP if packed else None)
        return Envelope(made.envelope.topic, headers, payload)

    def not_packed(self, made: Made, _shape: Shape, _entropy: Entropy) -> Envelope:
        return Envelope(made.envelope.topic, made.envelope.headers.with_(content_encoding=GZIP), made.plain)

    def truncated(self, made: Made, _shape: Shape, entropy: Entropy) -> Envelope:
        payload = made.envelope.payload
        return replace(made.envelope, payload=payload[: entropy.below(len(payload))])

    def unpacked(self, made: Made, _shape: Shape, _entropy: Entropy) -> Envelope | None:
        rule = self.contract.payload
        if not rule.compress_above < len(made.plain) < rule.sent_below:
            return None
        return Envelope(made.envelope.topic, made.envelope.headers.with_(content_encoding=None), made.plain)

    def too_large(self, made: Made, _shape: Shape, _entropy: Entropy) -> Envelope | None:
        if len(made.plain) < self.contract.payload.sent_below:
            return None
        stored = gzip.compress(made.plain, compresslevel=0, mtime=0)
        return Envelope(made.envelope.topic, made.envelope.headers.with_(content_encoding=GZIP), stored)

    def schema_major(self, made: Made, _shape: Shape, entropy: Entropy) -> Envelope | None:
        major, _, rest = made.envelope.headers["schema_version"].partition(".")
        texts = [f"{number}.{rest}" for number in (2, 0, 1, 10) if str(number) != major]
        pattern = self.contract.headers["schema_version"].pattern
        text = one_of(texts, lambda text: bool(pattern.fullmatch(text)), entropy)
        return None if text is None else with_headers(made, schema_version=text)

    def topic_major(self, made: Made, _shape: Shape, entropy: Entropy) -> Envelope | None:
        tokens = made.envelope.topic.split(".")
        now = tokens[3]
        pattern = self.contract.topic.version
        texts = [f"v{number}" for number in (2, 1, 10, 99)]
        text = one_of(texts, lambda text: text != now and bool(pattern.fullmatch(text)), entropy)
        return None if text is None else with_topic(made, ".".join([*tokens[:3], text, *tokens[4:]]))

    def half_pointer(self, made: Made, _shape: Shape, entropy: Entropy) -> Envelope | None:
        others = [name for name in self.contract.pointer_headers if name != _POINTER_WITHOUT_PAYLOAD]
        return with_headers(made, **dict.fromkeys(_some(others, entropy))) if others else None

    def pointer_parts(self, made: Made, shape: Shape, entropy: Entropy) -> Envelope | None:
        if made.envelope.payload:
            return None
        names = self.contract.pointer_headers
        pointer = self.maker.make(shape, Entropy(b""), Wish(pointer=True)).envelope.headers
        missing = _some(names[: len(names) - 1], entropy)
        return with_headers(made, **{name: pointer[name] for name in names if name not in missing})

    def pointer_with_payload(self, made: Made, _shape: Shape, entropy: Entropy) -> Envelope:
        return replace(made.envelope, payload=b"x" * (1 + entropy.below(256)))


def _some(names: list[str] | tuple[str, ...], entropy: Entropy) -> list[str]:
    """At least one of the names."""
    chosen = 1 + entropy.below((1 << len(names)) - 1)
    return [name for place, name in enumerate(names) if chosen >> place & 1]


def _renamed(fqdn: str) -> Change:
    return lambda made, _shape, _entropy: with_headers(made, schema_fqdn=fqdn)


def _other_hash(domain: DomainRule) -> Change:
    def change(made: Made, _shape: Shape, entropy: Entropy) -> Envelope | None:
        if domain.payload_hash is None:
            return None
        digest = hashlib.sha256(made.plain + bytes([entropy.byte()])).hexdigest()
        return with_headers(made, **{domain.payload_hash["header"]: f"sha256:{digest}"})

    return change
