"""Domains against the protobuf types that they carry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ampybus_contract.contract import Component, Contract, DomainRule, PayloadType
from ampybus_contract.contract.yaml_source import Source
from ampybus_contract.envelope.registry import message_type
from ampybus_contract.errors import SpecProblem


def payload_problems(sources: Mapping[str, list[Source]], contract: Contract) -> Iterator[SpecProblem]:
    """Types that do not exist, batches without items, key components that a type does not have."""
    for source in sources["domain"]:
        domain = contract.domains[source.data["domain"]]
        for fqdn, payload in domain.payloads.items():
            kind = message_type(fqdn)
            path = f"/payloads/{fqdn}"
            if kind is None:
                fix = "name a type of ampy-proto, or ship its descriptors in proto/"
                yield source.problem(path, "a payload type", repr(fqdn), fix)
            else:
                yield from _type_problems(source, domain, fqdn, payload, kind.DESCRIPTOR)
        for name, part in domain.components.items():
            if part.topic is not None and part.topic not in domain.subtopic.groupindex:
                path = f"/components/{name}/topic"
                yield source.problem(
                    path, "a group of the subtopic pattern", repr(part.topic), "name the group"
                )


def _type_problems(
    source: Source, domain: DomainRule, fqdn: str, payload: PayloadType, kind: Any
) -> Iterator[SpecProblem]:
    path = f"/payloads/{fqdn}"
    item = kind
    if payload.item:
        field = kind.fields_by_name.get(payload.item)
        if field is None or not field.is_repeated or field.message_type is None:
            yield source.problem(
                f"{path}/item", f"a repeated message of {fqdn}", repr(payload.item), "name one"
            )
            return
        item = field.message_type
    for group in (*payload.when, *filter(None, [payload.choice])):
        if group not in domain.subtopic.groupindex:
            yield source.problem(path, "a group of the subtopic pattern", repr(group), "name the group")
    if payload.choice and len(item.oneofs) != 1:
        got = f"{len(item.oneofs)} in {item.full_name}"
        yield source.problem(f"{path}/choice", "a type with one oneof", got, "leave 'choice' out")
    for name, part in domain.components.items():
        if part.topic is None and not any(_has(item, path.split("."), part) for path in part.paths):
            got = f"none of {', '.join(part.paths)} in {item.full_name}"
            fix = "name the field that holds it in this type"
            yield source.problem(f"/components/{name}", f"a field of {fqdn}", got, fix)


def _has(kind: Any, path: list[str], part: Component) -> bool:
    """Whether a type has a field at a path, of the kind that a component needs."""
    field = kind.fields_by_name.get(path[0])
    if field is None:
        return False
    if len(path) > 1:
        return field.message_type is not None and _has(field.message_type, path[1:], part)
    is_time = field.message_type is not None and field.message_type.full_name == "google.protobuf.Timestamp"
    return is_time if part.form == "date" else field.message_type is None and not field.is_repeated
