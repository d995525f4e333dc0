"""Fill protobuf messages so that they mean something, by descriptor and ``spec/payloads.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from ampybus_contract.contract.meaning import MessageMeaning, PayloadMeaning, ValueRule
from ampybus_contract.strategies.ordered import Ordered
from ampybus_contract.strategies.values import SECOND, Moment, Value, value

_SCALARS = {
    FieldDescriptor.CPPTYPE_INT32: "int32",
    FieldDescriptor.CPPTYPE_INT64: "int64",
    FieldDescriptor.CPPTYPE_UINT32: "uint32",
    FieldDescriptor.CPPTYPE_UINT64: "uint64",
    FieldDescriptor.CPPTYPE_DOUBLE: "double",
    FieldDescriptor.CPPTYPE_FLOAT: "float",
    FieldDescriptor.CPPTYPE_BOOL: "bool",
}
_FITS = {
    "pool": {"string"}, "template": {"string"}, "header": {"string"}, "bytes": {"bytes"}, "boolean": {"bool"},
    "integer": {"int32", "int64", "uint32", "uint64", "float", "double"}, "uuid7": {"string"},
}  # fmt: skip
_DEPTH = 6
Overrides = Mapping[str, ValueRule]


def type_name(descriptor: FieldDescriptor) -> str:
    """How ``types`` in the spec names the type of a field: a full message name or a scalar's name."""
    if descriptor.message_type is not None:
        return str(descriptor.message_type.full_name)
    if descriptor.type == FieldDescriptor.TYPE_STRING:
        return "string"
    if descriptor.type == FieldDescriptor.TYPE_BYTES:
        return "bytes"
    return _SCALARS.get(descriptor.cpp_type, "enum")


def rule_for(
    descriptor: FieldDescriptor, meaning: PayloadMeaning, own: Overrides, outer: Overrides
) -> ValueRule | None:
    """The rule of a field: from outside its message, of its message, of its name, of its type."""
    kind = type_name(descriptor)
    name = descriptor.name
    for rules in (outer, own, meaning.fields):
        if name in rules and _fits(rules[name], descriptor, kind):
            return rules[name]
    return meaning.types.get(kind)


def put(message: Message, name: str, made: Any) -> None:
    """Set a field from a made value: nanoseconds for a time, a scaled integer with scale for a decimal."""
    if isinstance(made, tuple):
        part = getattr(message, name)
        part.SetInParent()
        part.scaled, part.scale = made
    elif message.DESCRIPTOR.fields_by_name[name].message_type is not None:
        part = getattr(message, name)
        part.SetInParent()
        part.seconds, part.nanos = divmod(made, SECOND)
    else:
        setattr(message, name, made)


@dataclass(frozen=True, slots=True)
class Visit:
    """Filling one message: for which moment, at what depth, and which dotted paths must be there."""

    moment: Moment
    needed: frozenset[str] = frozenset()
    depth: int = 0

    def tops(self) -> set[str]:
        """The fields of this message that must be there."""
        return {path.partition(".")[0] for path in self.needed}

    def into(self, name: str) -> Visit:
        """The visit of the message in a field."""
        below = frozenset(path.partition(".")[2] for path in self.needed if path.startswith(f"{name}."))
        return Visit(self.moment, below, self.depth + 1)


class Messages:
    """Fills messages by one meaning; plans are made once for each type."""

    def __init__(self, meaning: PayloadMeaning) -> None:
        self.meaning = meaning
        self._plans: dict[tuple[str, int], _Plan] = {}

    def fill(self, message: Message, moment: Moment, needed: frozenset[str] = frozenset()) -> None:
        """Fill a fresh message. ``needed`` are dotted paths of fields that must be there."""
        self.visit(message, Visit(moment, needed), None)

    def visit(self, message: Message, visit: Visit, outer: Overrides | None) -> None:
        """Fill a message that may be part of another; ``outer`` overrides rules of its fields."""
        descriptor: Any = message.DESCRIPTOR
        key = (descriptor.full_name, id(outer))
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = _Plan(descriptor, self, outer or {})
        plan.fill(message, visit)


class _Plan:
    """How one message type is filled: enumerations first, then text and numbers, messages, ordered fields."""

    def __init__(self, descriptor: Descriptor, messages: Messages, outer: Overrides) -> None:
        meaning = messages.meaning
        own = meaning.messages.get(descriptor.full_name, MessageMeaning())
        self.messages, self.meaning, self.own = messages, meaning, own
        self.record: tuple[Any, ...] = meaning.pools[own.record] if own.record else ()
        self.ordered = Ordered(descriptor, meaning, own, outer)
        recorded = {name for entry in self.record for name in entry}
        self.oneofs = [[item.name for item in one.fields] for one in descriptor.oneofs if len(one.fields) > 1]
        in_oneof = {name for names in self.oneofs for name in names}
        self.values: dict[str, Value] = {}
        self.fields: dict[str, FieldDescriptor] = {}
        for item in descriptor.fields:
            if item.name in recorded or item.name in self.ordered.names:
                continue
            self.fields[item.name] = item
            rule = rule_for(item, meaning, own.fields, outer)
            if item.enum_type is not None:
                self.values[item.name] = _enumeration(item.enum_type)
            elif rule is not None:
                self.values[item.name] = value(rule, meaning)
        plain = [name for name in self.fields if name not in in_oneof]
        self.sequence = sorted(plain, key=lambda name: _rank(self.fields[name]))

    def fill(self, message: Message, visit: Visit) -> None:
        moment, tops = visit.moment, visit.tops()
        if self.record:
            for name, text in moment.entropy.choice(self.record).items():
                if name in self.own.always or name in tops or moment.entropy.chance(64):
                    setattr(message, name, text)
        for name in self.sequence:
            if self._present(name, message, moment, tops):
                self._field(name, message, visit)
        for members in self.oneofs:
            fixed = [name for name in members if name in tops]
            allowed = fixed or [name for name in members if self._condition(name, message) is not False]
            if allowed:
                self._field(moment.entropy.choice(allowed), message, visit)
        for name, made in self.ordered.make(moment):
            if self._present(name, message, moment, tops):
                put(message, name, made)
                self._seen(name, made, moment)

    def _present(self, name: str, message: Message, moment: Moment, tops: set[str]) -> bool:
        if name in tops:
            return True
        condition = self._condition(name, message)
        if condition is not None:
            return condition
        return name in self.own.always or moment.entropy.chance(112)

    def _condition(self, name: str, message: Message) -> bool | None:
        """Whether the fields that decide over this one say yes; None where none decides."""
        conditions = self.own.presence.get(name)
        if conditions is None:
            return None
        for other, names in conditions.items():
            kind = message.DESCRIPTOR.fields_by_name[other].enum_type
            if kind is None or kind.values_by_number[getattr(message, other)].name not in names:
                return False
        return True

    def _field(self, name: str, message: Message, visit: Visit) -> None:
        descriptor, make = self.fields[name], self.values.get(name)
        if descriptor.is_repeated:
            self._repeated(descriptor, message, visit)
        elif make is not None:
            made = make(visit.moment)
            put(message, name, made)
            self._seen(name, made, visit.moment)
        elif descriptor.message_type is not None and visit.depth < _DEPTH:
            part = getattr(message, name)
            part.SetInParent()
            self.messages.visit(part, visit.into(name), self.own.within.get(name))

    def _repeated(self, descriptor: FieldDescriptor, message: Message, visit: Visit) -> None:
        name, moment, kind = descriptor.name, visit.moment, descriptor.message_type
        least = 1 if name in self.own.always else 0
        count = least + moment.entropy.below(self.meaning.batch_at_most - least + 1)
        target, make = getattr(message, name), self.values.get(name)
        if kind is not None and kind.GetOptions().map_entry:
            _entries(kind, target, count, self.meaning, moment)
            return
        for _ in range(count):
            if kind is not None and visit.depth < _DEPTH:
                self.messages.visit(target.add(), visit.into(name), self.own.within.get(name))
            elif kind is None and make is not None:
                target.append(make(moment))

    def _seen(self, name: str, made: Any, moment: Moment) -> None:
        """Let later times not precede this one."""
        is_time = name in self.ordered.times or (
            isinstance(made, int) and name in self.fields and self.fields[name].message_type is not None
        )
        if is_time and name not in self.meaning.ahead:
            moment.latest = max(moment.latest, made)


def _entries(entry: Descriptor, target: Any, count: int, meaning: PayloadMeaning, moment: Moment) -> None:
    key_field, value_field = entry.fields_by_name["key"], entry.fields_by_name["value"]
    rules = [meaning.types.get(type_name(field)) for field in (key_field, value_field)]
    if value_field.message_type is None and all(rules):
        make_key, make_value = (value(rule, meaning) for rule in rules if rule is not None)
        for _ in range(count):
            target[make_key(moment)] = make_value(moment)


def _enumeration(kind: EnumDescriptor) -> Value:
    """The declared values but zero, which protobuf keeps for "unspecified"."""
    numbers = [item.number for item in kind.values if item.number] or [0]
    return lambda moment: moment.entropy.choice(numbers)


def _rank(field: FieldDescriptor) -> int:
    if field.enum_type is not None:
        return 0
    return 1 if field.message_type is None else 2


def _fits(rule: ValueRule, field: FieldDescriptor, kind: str) -> bool:
    name = next(iter(rule))
    if name == "decimal":
        part = field.message_type
        return part is not None and {"scaled", "scale"} <= set(part.fields_by_name)
    if name == "time":
        return kind == "google.protobuf.Timestamp"
    return kind in _FITS[name]
