"""Payloads on the fast path: decoded once, and only the parts of keys read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError as ProtobufDecodeError
from google.protobuf.message import Message

from ampybus_contract.contract import Component, Contract, DomainRule
from ampybus_contract.envelope.parts import part_text
from ampybus_contract.envelope.registry import message_type
from ampybus_contract.validation.key_rules import key_of_topic, sole_part

Parts = tuple[str, ...]
Read = Callable[[Any], Parts]
Parse = Callable[[bytes], Message]
Agrees = Callable[[bytes, Mapping[str, str]], bool]


@dataclass(frozen=True, slots=True)
class _Formula:
    """A key formula as a template of ``%s`` over chosen parts."""

    template: str
    chosen: Callable[[Parts], Parts]

    @classmethod
    def compile(cls, text: str, names: list[str]) -> _Formula:
        pieces = re.split(r"\{([^}]*)\}", text)
        order = [names.index(name) for name in pieces[1::2]]
        template = "%s".join(piece.replace("%", "%%") for piece in pieces[::2])
        if order == list(range(len(names))):
            return cls(template, _all)
        return cls(template, lambda parts: tuple(parts[index] for index in order))

    def fill(self, parts: Parts) -> str:
        return self.template % self.chosen(parts)


def _all(parts: Parts) -> Parts:
    return parts


def compile_payload(
    contract: Contract, domain: DomainRule, groups: Mapping[str, str | None], fqdn: str
) -> Agrees | None:
    """Tells whether bytes decode as a type of the domain and agree with key, dedupe_key and topic.

    What topic and headers tell of the key without the payload is for the caller to see: see ``Route``. None
    where the package has no such type.
    """
    kind, payload = message_type(fqdn), domain.payloads[fqdn]
    if kind is None:
        return None
    item: Any = kind.DESCRIPTOR
    if payload.item:
        item = item.fields_by_name[payload.item].message_type
    names = list(domain.components)
    named = {name: text for name, text in groups.items() if text and name in names}
    choice = None
    if payload.choice and (wanted := groups.get(payload.choice)):
        (oneof,) = item.oneofs
        choice = oneof.name, wanted
    whole = _whole(contract, domain, named)
    if whole is not None and not choice and (shared := _shared_parent(domain, item)):
        return _pinned(kind.FromString, payload.item, shared, whole)
    if sole_part(domain) and not named and not payload.item:
        only = _text_path(domain.components[names[0]], item) or "."
        if "." not in only:
            return _single(kind.FromString, only)
    read = _reader(domain, groups, item)
    parts = _PartsPlan(
        read,
        tuple((names.index(name), text) for name, text in named.items()),
        choice,
        contract.key_separator,
        _Formula.compile(domain.key, names) if domain.key else None,
        _Formula.compile(domain.key_without, names) if domain.key_without else None,
        _Formula.compile(domain.dedupe_key, names) if domain.dedupe_key else None,
    )
    return _compared(kind.FromString, payload.item, parts.agree)


def _whole(contract: Contract, domain: DomainRule, named: Mapping[str, str]) -> Parts | None:
    """The parts of a topic that names every one, and so the key; None for any other."""
    if key_of_topic(domain, named) is None or domain.dedupe_key:
        return None
    if any(contract.key_separator in part for part in named.values()):
        return None
    return tuple(named[name] for name in domain.components) if len(named) > 1 else None


def _shared_parent(domain: DomainRule, item: Descriptor) -> tuple[str, tuple[str, ...]] | None:
    """The inner message that holds every part as a text, and their fields; None where they lie apart."""
    paths = [_text_path(rule, item) or "" for rule in domain.components.values()]
    parents = {path.rpartition(".")[0] for path in paths}
    parent = parents.pop()
    if parents or not parent or "." in parent:
        return None
    return parent, tuple(path.rpartition(".")[2] for path in paths)


def _pinned(parse: Parse, field: str, shared: tuple[str, tuple[str, ...]], whole: Parts) -> Agrees:
    """For a topic that names every part: the inner message that holds them is as the topic says.

    It is compared whole with one that holds these parts alone, which is the rule and the faster look; its
    fields one by one where it holds more.
    """
    parent, fields = shared
    inner = attrgetter(*fields)
    empty: Any = parse(b"")
    holder = getattr(getattr(empty, field).add() if field else empty, parent)
    likeness = type(holder)(**dict(zip(fields, whole, strict=True)))

    def one(plain: bytes, headers: Mapping[str, str]) -> bool:
        try:
            found = getattr(parse(plain), parent)
        except (ProtobufDecodeError, ValueError):
            return False
        return found == likeness or inner(found) == whole

    def several(plain: bytes, headers: Mapping[str, str]) -> bool:
        try:
            items = getattr(parse(plain), field)
        except (ProtobufDecodeError, ValueError):
            return False
        for found in map(attrgetter(parent), items):
            if found != likeness and inner(found) != whole:
                return False
        return True

    return several if field else one


def _single(parse: Parse, field: str) -> Agrees:
    """For a key that is one text of the payload; the caller has seen that the headers agree on it."""

    def one(plain: bytes, headers: Mapping[str, str]) -> bool:
        try:
            text = getattr(parse(plain), field)
        except (ProtobufDecodeError, ValueError):
            return False
        return bool(text == headers["partition_key"])

    return one


def _compared(parse: Parse, field: str, agree: Callable[[Any, Mapping[str, str]], bool]) -> Agrees:
    def one(plain: bytes, headers: Mapping[str, str]) -> bool:
        try:
            message = parse(plain)
        except (ProtobufDecodeError, ValueError):
            return False
        return agree(message, headers)

    def several(plain: bytes, headers: Mapping[str, str]) -> bool:
        try:
            message = parse(plain)
        except (ProtobufDecodeError, ValueError):
            return False
        return all([agree(item, headers) for item in getattr(message, field)])

    return several if field else one


@dataclass(frozen=True, slots=True)
class _PartsPlan:
    """How the parts of one item are compared: ``named`` are those of the topic, by their place."""

    read: Read
    named: tuple[tuple[int, str], ...]
    choice: tuple[str, str] | None
    separator: str
    key: _Formula | None
    short: _Formula | None
    dedupe: _Formula | None

    def agree(self, item: Any, headers: Mapping[str, str]) -> bool:
        """Whether an item's parts agree with key, dedupe_key and topic."""
        if self.choice is not None and item.WhichOneof(self.choice[0]) != self.choice[1]:
            return False
        parts = self.read(item)
        for part in parts:
            if self.separator in part:
                return False
        for index, text in self.named:
            if parts[index] != text:
                return False
        formula = self.key if self.short is None or all(parts) else self.short
        if formula is not None and formula.fill(parts) != headers["partition_key"]:
            return False
        return self.dedupe is None or self.dedupe.fill(parts) == headers["dedupe_key"]


def _reader(domain: DomainRule, groups: Mapping[str, str | None], item: Descriptor) -> Read:
    """Reads all parts of a message: by its attributes where each is a plain text field, else one by one."""
    rules = list(domain.components.values())
    paths = [_text_path(rule, item) for rule in rules]
    if not rules or None in paths:
        return lambda message: tuple(part_text(rule, message, groups) for rule in rules)
    known = [path for path in paths if path is not None]
    parents = {path.rpartition(".")[0] for path in known}
    if len(known) == 1:
        (only,) = map(attrgetter, known)
        return lambda message: (only(message),)
    if len(parents) == 1 and (parent := parents.pop()):
        outer, inner = attrgetter(parent), attrgetter(*(path.rpartition(".")[2] for path in known))
        return lambda message: inner(outer(message))
    read: Callable[[Any], Parts] = attrgetter(*known)
    return read


def _text_path(rule: Component, item: Descriptor) -> str | None:
    """The one path of a part below a type, if it is made of single messages and ends in a text."""
    if rule.topic is not None or rule.form != "text":
        return None
    fitting = [path for path in rule.paths if path.split(".")[0] in item.fields_by_name]
    if len(fitting) != 1:
        return None
    here: Descriptor | None = item
    field = None
    for name in fitting[0].split("."):
        field = here.fields_by_name.get(name) if here is not None else None
        if field is None or field.is_repeated:
            return None
        here = field.message_type
    plain = field is not None and field.type == FieldDescriptor.TYPE_STRING and not field.has_default_value
    return fitting[0] if plain else None
