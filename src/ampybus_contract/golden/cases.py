"""Envelopes written as one departure from a golden kept by hand: ``golden/{domain}/cases.yaml``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ampybus_contract.contract import Contract
from ampybus_contract.contract.files import schema_problems
from ampybus_contract.contract.yaml_source import Source, read_yaml
from ampybus_contract.envelope.fixture import readable_payload
from ampybus_contract.errors import SpecError

CASES = "cases.yaml"


@dataclass(frozen=True, slots=True)
class Case:
    """A golden made from another: its place below its domain, and the JSON object."""

    path: Path
    value: dict[str, Any]


def cases(domain: Path, contract: Contract) -> Iterator[Case]:
    """The cases of one golden domain; those that expect no finding are valid goldens.

    Raises SpecError where the file is not as ``spec/schema/cases.schema.json`` says, or a base is missing.
    """
    file = domain / CASES
    if not file.exists():
        return
    source = read_yaml(file, f"{domain.name}/{CASES}")
    if problems := list(schema_problems(source, "cases")):
        raise SpecError(problems)
    for name, case in source.data["cases"].items():
        value = patched(_base(domain, source, name), case["change"])
        if pad := case.get("pad"):
            _pad(value, pad["field"], pad["bytes"], contract)
        kind = "valid"
        if expected := case["expect"]:
            kind = "invalid"
            value["expect"] = expected
        yield Case(domain / kind / f"{name}.json", value)


def patched(value: Any, change: Any) -> Any:
    """A JSON value after a JSON Merge Patch (RFC 7396); neither argument is changed."""
    if not isinstance(change, dict):
        return change
    result = dict(value) if isinstance(value, dict) else {}
    for name, inner in change.items():
        if inner is None:
            result.pop(name, None)
        else:
            result[name] = patched(result.get(name), inner)
    return result


def _base(domain: Path, source: Source, name: str) -> Any:
    base = source.data["cases"][name]["from"]
    path = domain / "valid" / f"{base}.json"
    if not path.exists():
        problem = source.problem(
            f"/cases/{name}/from", "a golden in valid/", repr(base), "name one by its stem"
        )
        raise SpecError([problem])
    return json.loads(path.read_text(encoding="utf-8"))


def _pad(value: dict[str, Any], field: str, size: int, contract: Contract) -> None:
    """Lengthen one text field of the payload until the message has exactly ``size`` bytes."""
    payload = value["payload"] = dict(value["payload"])
    text = payload.get(field, "")
    payload[field] = text + "x" * size
    payload[field] = text + "x" * (2 * size - len(readable_payload(value, contract)))
