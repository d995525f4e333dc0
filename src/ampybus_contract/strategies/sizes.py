"""Payloads of an exact size, by stretching a text field."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from ampybus_contract.strategies.messages import type_name

_TEXT = "0123456789abcdef"


def stretch(message: Message, size: int, fillers: Sequence[str], kept: Collection[str]) -> bool:
    """Give ``message`` exactly ``size`` bytes through the first filler field it has; False where it cannot.

    ``kept`` are dotted paths that must not change.
    """
    found = _filler(message, fillers, kept, "")
    if found is None:
        return False
    owner, name = found
    setattr(owner, name, "")
    length = size - message.ByteSize()
    for _ in range(8):
        if length < 0:
            return False
        setattr(owner, name, (_TEXT * (length // len(_TEXT) + 1))[:length])
        excess = message.ByteSize() - size
        if excess == 0:
            return True
        length -= excess
    return False


def _filler(
    message: Message, fillers: Sequence[str], kept: Collection[str], path: str
) -> tuple[Message, str] | None:
    fields = message.DESCRIPTOR.fields_by_name
    for name in fillers:
        own: Any = fields.get(name)
        plain = own is not None and not own.is_repeated and type_name(own) == "string"
        if plain and f"{path}{name}" not in kept:
            return message, name
    field: Any
    for field in message.DESCRIPTOR.fields:
        below = _part(message, field)
        if below is not None:
            found = _filler(below, fillers, kept, f"{path}{field.name}.")
            if found is not None:
                return found
    return None


def _part(message: Message, field: FieldDescriptor) -> Message | None:
    """The message in a field, or in the first item of it; an absent one only where it may be added."""
    if field.message_type is None or field.message_type.GetOptions().map_entry:
        return None
    value: Any = getattr(message, field.name)
    if field.is_repeated:
        return value[0] if len(value) else None
    may_be_added = field.containing_oneof is None and field.message_type is not message.DESCRIPTOR
    return value if may_be_added or message.HasField(field.name) else None
