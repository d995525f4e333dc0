"""What makes payloads and headers mean something, as values read from ``spec/payloads.yaml``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ampybus_contract.contract.yaml_source import Source
from ampybus_contract.errors import SpecProblem

ValueRule = Mapping[str, Any]
_CHAIN = re.compile(r"\s*(\w+(?:\s*,\s*\w+)*)\s*(<=|<|$)")


@dataclass(frozen=True, slots=True)
class Chain:
    """Fields in rising order: ``groups[i]`` lies below ``groups[i + 1]``, strictly where ``strict[i]``."""

    groups: tuple[tuple[str, ...], ...]
    strict: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class MessageMeaning:
    """How to fill one message type.

    ``record`` names a pool of mappings that set several fields at once, ``presence`` says by which values of
    another field a field is there, ``identity`` names what stays the same for one key, ``within`` overrides
    ``fields`` inside a field's own message.
    """

    record: str | None = None
    always: frozenset[str] = frozenset()
    identity: tuple[str, ...] = ()
    order: tuple[Chain, ...] = ()
    presence: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    fields: Mapping[str, ValueRule] = field(default_factory=dict)
    within: Mapping[str, Mapping[str, ValueRule]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WorkloadMeaning:
    """How messages of a domain follow one another: named steps of one key, and the domains that answer."""

    steps: tuple[str, ...]
    step_header: str
    answered_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PayloadMeaning:
    """Pools of real values and rules for fields by message, by name and by type, in that precedence.

    ``clock_from`` is an RFC 3339 instant; times named in ``ahead`` may lie after publication; ``fillers``
    are text fields, by preference, that may be stretched to reach a size.
    """

    clock_from: str
    clock_span_seconds: int
    batch_at_most: int
    ahead: frozenset[str]
    fillers: tuple[str, ...]
    pools: Mapping[str, tuple[Any, ...]]
    types: Mapping[str, ValueRule]
    fields: Mapping[str, ValueRule]
    messages: Mapping[str, MessageMeaning]
    headers: Mapping[str, ValueRule]
    headers_left_out: frozenset[str]
    workloads: Mapping[str, WorkloadMeaning]


def build_meaning(data: Mapping[str, Any]) -> PayloadMeaning:
    """Type the data of a ``payloads.yaml`` that passed its schema and ``meaning_problems``."""
    return PayloadMeaning(
        clock_from=data["clock"]["from"],
        clock_span_seconds=data["clock"]["span_seconds"],
        batch_at_most=data["batch_at_most"],
        ahead=frozenset(data["ahead_of_publication"]),
        fillers=tuple(data["fillers"]),
        pools={name: tuple(values) for name, values in data["pools"].items()},
        types=data["types"],
        fields=data["fields"],
        messages={name: _message(item) for name, item in data["messages"].items()},
        headers=data["headers"],
        headers_left_out=frozenset(data["headers_left_out"]),
        workloads={
            name: WorkloadMeaning(tuple(item["steps"]), item["step_header"], tuple(item["answered_by"]))
            for name, item in data["workloads"].items()
        },
    )


def meaning_problems(source: Source) -> Iterator[SpecProblem]:
    """Pools that are used and not declared, wrong kinds of pool, and orders that cannot be read."""
    pools = source.data["pools"]
    for path, name, record in _used_pools(source.data):
        if name not in pools:
            yield source.problem(path, "a declared pool", repr(name), "declare it under pools")
        elif any(isinstance(item, dict) is not record for item in pools[name]):
            kind = "mappings" if record else "texts"
            yield source.problem(path, f"a pool of {kind}", repr(name), "use another pool")
    for fqdn, item in source.data["messages"].items():
        for index, text in enumerate(item.get("order", [])):
            if _chain(text) is None:
                path = f"/messages/{fqdn}/order/{index}"
                yield source.problem(
                    path, "fields joined by <, <= and commas", repr(text), "write a < b <= c"
                )


def _used_pools(value: Any, path: str = "") -> Iterator[tuple[str, str, bool]]:
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        if key in ("pool", "record") and isinstance(inner, str):
            yield f"{path}/{key}", inner, key == "record"
        elif path or key != "pools":
            yield from _used_pools(inner, f"{path}/{key}")


def _message(item: Mapping[str, Any]) -> MessageMeaning:
    chains = (_chain(text) for text in item.get("order", []))
    return MessageMeaning(
        record=item.get("record"),
        always=frozenset(item.get("always", [])),
        identity=tuple(item.get("identity", [])),
        order=tuple(chain for chain in chains if chain is not None),
        presence={
            name: {other: tuple(values) for other, values in condition.items()}
            for name, condition in item.get("presence", {}).items()
        },
        fields=item.get("fields", {}),
        within=item.get("within", {}),
    )


def _chain(text: str) -> Chain | None:
    groups: list[tuple[str, ...]] = []
    strict: list[bool] = []
    position, more = 0, True
    while more:
        match = _CHAIN.match(text, position)
        if match is None:
            return None
        groups.append(tuple(name.strip() for name in match[1].split(",")))
        strict.append(match[2] == "<")
        position, more = match.end(), bool(match[2])
    return Chain(tuple(groups), tuple(strict[:-1])) if len(groups) > 1 else None
