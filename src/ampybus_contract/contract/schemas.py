"""Where a file of the spec departs from its JSON Schema, in words for the one who mends it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from ampybus_contract.contract.yaml_source import Source
from ampybus_contract.errors import SpecProblem

KINDS = {
    "object": "a mapping",
    "array": "a list",
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "nothing",
}
SHOWN = 80


def departures(source: Source, schema: dict[str, Any], name: str) -> Iterator[SpecProblem]:
    """Every departure from a schema, at its own line; ``name`` is that of the schema's file."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - takes longer than all else to import

    for error in Draft202012Validator(schema).iter_errors(source.data):
        path = "".join(f"/{part}" for part in error.absolute_path)
        if error.validator == "additionalProperties" and error.validator_value is False:
            yield from _unknown_keys(source, path, error)
        else:
            expected, got = _words(error)
            yield source.problem(path, expected, got, f"compare with schema/{name}")


def _unknown_keys(source: Source, path: str, error: Any) -> Iterator[SpecProblem]:
    known = list(error.schema.get("properties", {}))
    for key in error.instance:
        if key not in known:
            near = get_close_matches(str(key), known, 1)
            fix = f"write {near[0]!r}, or remove the key" if near else "remove the key"
            yield source.problem(f"{path}/{key}", f"a key out of {', '.join(known)}", _shown(key), fix)


def _words(error: Any) -> tuple[str, str]:
    rule, wanted, got = error.validator, error.validator_value, error.instance
    if rule == "type":
        kinds = wanted if isinstance(wanted, list) else [wanted]
        return " or ".join(KINDS[item] for item in kinds), _shown(got)
    if rule == "required":
        missing = [name for name in wanted if name not in got]
        return f"the keys {', '.join(wanted)}", f"no {' and no '.join(missing)}"
    if rule == "enum":
        return f"one of {', '.join(map(str, wanted))}", _shown(got)
    if rule == "pattern":
        return f"a text that {wanted} matches", _shown(got)
    return f"{rule} {json.dumps(wanted)[:120]}", error.message[:200]


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return repr(value)[:SHOWN]
