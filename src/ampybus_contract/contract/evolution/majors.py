"""Payload majors: a breaking payload change belongs on new topics, beside the old ones (section 23, D4)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ampybus_contract.contract.evolution.effects import NOBODY, Change, Difference, Direction, unescaped

P, C = Direction.PRODUCERS, Direction.CONSUMERS


def payload_type(difference: Difference) -> Change:
    """A payload type that comes or goes, or is another thing, on a domain.

    A type of a major that the domain had not comes on topics that nobody reads yet. One that goes with all of
    its major leaves topics that end; one that goes alone changes topics that stay.
    """
    name, domain = difference.name, unescaped(difference.path.split("/")[1])
    major = _major(name, difference.before)
    if difference.old is None:
        if major is not None and major not in _majors(domain, difference.before):
            return difference.change(NOBODY, f"the payload type {name} is new, on new topics of {major}")
        return difference.change(
            (C,), f"the payload type {name} is new, on topics that are there: readers meet it"
        )
    if difference.new is None and major is not None and major not in _majors(domain, difference.after):
        return difference.change((P, C), f"the payload type {name} is gone, with all topics of {major}")
    return difference.change((P, C), f"the payload type {name} is gone from topics that stay", payload=True)


def _majors(domain: str, data: Mapping[str, Any]) -> set[str | None]:
    """The major versions of the types that a domain carries."""
    found = data["domains"].get(domain, {}).get("payloads")
    return {_major(name, data) for name in found} if isinstance(found, Mapping) else set()


def _major(name: str, data: Mapping[str, Any]) -> str | None:
    """The part of a protobuf name that is the version of its topics, by the contract's own pattern."""
    topic = data["contract"].get("topic")
    pattern = topic.get("version_pattern") if isinstance(topic, Mapping) else None
    if not isinstance(pattern, str):
        return None
    try:
        version = re.compile(pattern)
    except re.error:
        return None
    return next((part for part in name.split(".") if version.fullmatch(part)), None)
