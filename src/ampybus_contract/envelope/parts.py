"""The parts of keys, read from topics and payloads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import Message

from ampybus_contract.contract import Component


def part_text(component: Component, message: Message, groups: Mapping[str, str | None]) -> str:
    """The text of a key part; empty where neither topic nor payload has it, or its date is in no calendar."""
    if component.topic is not None:
        return groups.get(component.topic) or ""
    for path in component.paths:
        values = list(_values(message, path.split(".")))
        if values and component.form == "date":
            seconds = max(value.seconds for value in values)
            return _date(seconds)
        if values and (text := str(values[0])):
            return text
    return ""


def _date(seconds: int) -> str:
    """The day in UTC; a producer that takes milliseconds for seconds means none that can be written."""
    try:
        return datetime.fromtimestamp(seconds, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return ""


def _values(value: Any, path: list[str]) -> Iterator[Any]:
    """The values at a path: none where a field is unknown or an inner message unset, several below a list."""
    if not path:
        yield value
        return
    field = value.DESCRIPTOR.fields_by_name.get(path[0])
    if field is None or (field.has_presence and not value.HasField(field.name)):
        return
    inner = getattr(value, field.name)
    for item in inner if field.is_repeated else (inner,):
        yield from _values(item, path[1:])
