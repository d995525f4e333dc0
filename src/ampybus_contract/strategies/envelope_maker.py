"""Envelopes that keep the contract, decided by bytes: payload first, and the rest derived from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from google.protobuf.message import Message

from ampybus_contract.contract import Contract, DomainRule
from ampybus_contract.envelope import Envelope, Headers
from ampybus_contract.envelope.codec import compress
from ampybus_contract.envelope.digest import sha256_of
from ampybus_contract.envelope.registry import message_type
from ampybus_contract.errors import StrategyError
from ampybus_contract.strategies.entropy import Entropy
from ampybus_contract.strategies.header_sets import HeaderSets
from ampybus_contract.strategies.messages import Messages
from ampybus_contract.strategies.pattern_text import PatternText
from ampybus_contract.strategies.payload_parts import Agreement, PayloadParts, copy_parts, live
from ampybus_contract.strategies.sizes import stretch
from ampybus_contract.strategies.values import Moment, start

GZIP = "gzip"


@dataclass(frozen=True, slots=True)
class Shape:
    """A domain with one of its payload types; ``fqdn`` is empty where the domain carries others' messages."""

    domain: str
    fqdn: str


@dataclass(frozen=True, slots=True)
class Wish:
    """What an envelope shall be like beyond its shape.

    ``size`` is that of the uncompressed payload in bytes; ``parts`` fixes texts of components; ``latest`` is
    the instant (ns) before which no time lies; ``headers`` are texts to use when these headers are there;
    ``like`` is a message of the same type whose components shall be taken over.
    """

    packed: bool = False
    empty: bool = False
    pointer: bool = False
    size: int | None = None
    env: str | None = None
    latest: int | None = None
    parts: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    like: Message | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """An envelope, its uncompressed payload, and the instant (ns) it was produced at."""

    envelope: Envelope
    plain: bytes
    produced: int


class EnvelopeMaker:
    """Makes envelopes of every shape of one contract."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.messages = Messages(contract.meaning)
        self.headers = HeaderSets(contract)
        self._version = PatternText(contract.topic.version)
        self.agreements = {name: Agreement(contract, rule) for name, rule in contract.domains.items()}
        self._parts = PayloadParts(self.messages)
        self._own = [shape for shape in self.shapes() if shape.fqdn]

    def shapes(self, domain: str | None = None) -> list[Shape]:
        """All shapes, or those of one domain. Raises StrategyError where there are none."""
        found = [
            Shape(name, fqdn)
            for name, rule in self.contract.domains.items()
            if domain in (None, name)
            for fqdn in ([""] if rule.carries else rule.payloads)
            if not fqdn or message_type(fqdn) is not None
        ]
        if not found:
            known = ", ".join(self.contract.domains)
            raise StrategyError(
                f"STRATEGY expected a domain with payload types, one of {known}, got {domain!r}. "
                "Fix: name one of them, or declare payload types in domains/"
            )
        return sorted(found, key=lambda shape: not shape.fqdn)

    def make(self, shape: Shape, entropy: Entropy, wish: Wish) -> Made:
        """One envelope of a shape."""
        rule = self.contract.domains[shape.domain]
        if rule.carries:
            return self._dead_letter(rule, entropy, wish)
        meaning = self.contract.meaning
        env = wish.env or entropy.choice(self.contract.topic.environments)
        latest = start(meaning, entropy) if wish.latest is None else wish.latest
        version = shape.fqdn.split(".")[-2]
        moment = Moment(entropy, latest, version[1:], dict(wish.headers), self.headers.values.make)
        message, subtopic, parts = self._payload(rule, shape, moment, wish)
        plain = b"" if wish.pointer else message.SerializeToString(deterministic=True)
        limit = self.contract.payload.compress_above
        packed = not wish.pointer and (wish.packed or len(plain) > limit)
        headers = self.headers.make(shape.fqdn, rule, parts, moment, wish.headers, pointer=wish.pointer)
        if packed:
            headers["content_encoding"] = GZIP
        topic = f"{self.contract.topic.prefix}.{env}.{rule.name}.{version}.{subtopic}"
        payload = compress(plain) if packed else plain
        return Made(Envelope(topic, Headers(headers), payload), plain, moment.latest)

    def _payload(
        self, rule: DomainRule, shape: Shape, moment: Moment, wish: Wish
    ) -> tuple[Message, str, dict[str, str]]:
        kind = message_type(shape.fqdn)
        if kind is None:
            raise StrategyError(f"STRATEGY expected a payload type, got {shape.fqdn!r}. Fix: name one")
        root, payload = kind(), rule.payloads[shape.fqdn]
        field_name = payload.item
        items = getattr(root, field_name) if field_name else None
        first = root if items is None else items.add()
        agreement = self.agreements[rule.name]
        subtopic, parts = self._parts.settle(first, payload, agreement, moment, wish.parts, wish.like)
        known = self.contract.meaning.messages.get(first.DESCRIPTOR.full_name)
        same = [*live(first, agreement.paths), *(known.identity if known else ())]
        if items is not None:
            for _ in range(moment.entropy.below(self.contract.meaning.batch_at_most)):
                item = items.add()
                self.messages.fill(item, moment, frozenset(live(first, agreement.paths)))
                copy_parts(first, item, same)
        if wish.empty and items is not None:
            root.Clear()
        elif wish.size is not None:
            prefix = f"{field_name}." if field_name else ""
            kept = {f"{prefix}{path}" for path in agreement.paths}
            stretch(root, wish.size, self.contract.meaning.fillers, kept)
        return root, subtopic, parts

    def _dead_letter(self, rule: DomainRule, entropy: Entropy, wish: Wish) -> Made:
        """Another domain's envelope with what is added on its way to the dead letter queue (D25)."""
        shape = entropy.choice(self._own)
        made = self.make(shape, entropy, wish)
        origin, plain, payload = made.envelope, made.plain, made.envelope.payload
        if "content_encoding" not in origin.headers and payload and entropy.chance(64):
            plain = payload = payload[: entropy.below(len(payload))] + b"\xff"
        carried = sha256_of(plain)
        env = origin.topic.split(".")[1]
        moment = Moment(entropy, made.produced, make_header=self.headers.values.make)
        added = self.headers.dead_letter(rule, origin.topic, carried, moment)
        subtopic = self.agreements[rule.name].subtopics.of({rule.carries or "": shape.domain}, entropy)
        if subtopic is None:
            raise StrategyError(
                f"STRATEGY expected a subtopic of {rule.name} that names {shape.domain}, got none. "
                "Fix: mend the subtopic pattern"
            )
        version = self._version.make(Entropy(b""))
        topic = f"{self.contract.topic.prefix}.{env}.{rule.name}.{version}.{subtopic}"
        return Made(Envelope(topic, origin.headers.with_(**added), payload), plain, made.produced)
