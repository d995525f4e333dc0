"""The header set of the contract, as other tools would check it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any

from ampybus_contract.contract import Contract

Judge = Callable[[dict[str, str]], object]


class NotInstalledError(Exception):
    """A peer that this environment does not have; the message is the name to install."""


def header_schema(contract: Contract) -> dict[str, Any]:
    """The header set as a JSON Schema: every pattern, anchored, and the required names."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            name: {"type": "string", "pattern": _anchored(rule.pattern.pattern)}
            for name, rule in contract.headers.items()
        },
        "required": [name for name, rule in contract.headers.items() if rule.required],
    }


def _anchored(pattern: str) -> str:
    return "^(?:" + pattern.replace("(?P<", "(?<") + ")$"


def _module(name: str, package: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise NotInstalledError(package) from error


def _jsonschema_rs(contract: Contract) -> Judge:
    judge: Judge = _module("jsonschema_rs", "jsonschema-rs").validator_for(header_schema(contract)).is_valid
    return judge


def _jsonschema(contract: Contract) -> Judge:
    library = _module("jsonschema", "jsonschema")
    schema = header_schema(contract)
    for rule in schema["properties"].values():
        rule["pattern"] = rule["pattern"].replace("(?<", "(?P<")
    judge: Judge = library.Draft202012Validator(schema).is_valid
    return judge


def _fastjsonschema(contract: Contract) -> Judge:
    library = _module("fastjsonschema", "fastjsonschema")
    schema = header_schema(contract) | {"$schema": "http://json-schema.org/draft-07/schema#"}
    for rule in schema["properties"].values():
        rule["pattern"] = rule["pattern"].replace("(?<", "(?P<")
    judge: Judge = library.compile(schema)
    return _raises(judge, library.JsonSchemaException)


def _msgspec(contract: Contract) -> Judge:
    library = _module("msgspec", "msgspec")
    fields = []
    for name, rule in sorted(contract.headers.items(), key=lambda item: not item[1].required):
        kind = Annotated[str, library.Meta(pattern=f"^(?:{rule.pattern.pattern})$")]
        fields.append((name, kind) if rule.required else (name, kind, ""))
    struct = library.defstruct("HeaderSet", fields)
    return _raises(lambda headers: library.convert(headers, struct), library.ValidationError)


def _pydantic(contract: Contract) -> Judge:
    library = _module("pydantic", "pydantic")
    fields: dict[str, Any] = {}
    for name, rule in contract.headers.items():
        kind = Annotated[str, library.Field(pattern=f"^(?:{rule.pattern.pattern})$")]
        fields[name] = (kind, ...) if rule.required else (kind, "")
    model = library.create_model(
        "HeaderSet", __config__=library.ConfigDict(regex_engine="python-re"), **fields
    )
    return _raises(model.model_validate, library.ValidationError)


def _ampy_bus(contract: Contract) -> Judge:
    """The SDK's public ``Headers``: made from the values on the wire, then judged."""
    kind = _module("ampybus", "ampy-bus").Headers
    return _raises(lambda headers: kind(**headers).validate_basic(), (ValueError, KeyError, TypeError))


def _ampy_bus_judged(contract: Contract) -> Judge:
    """The same on objects made beforehand: ``validate_basic`` alone."""
    kind = _module("ampybus", "ampy-bus").Headers
    return _made_before(lambda headers: kind(**headers))


def _ampy_bus_presence(contract: Contract) -> Judge:
    """The other ``Headers``, inside its NATS bus, on objects made beforehand: looks only what is there."""
    kind = _module("ampybus.headers", "ampy-bus").Headers

    def make(headers: dict[str, str]) -> Any:
        values: dict[str, Any] = {**headers, "produced_at": datetime.fromisoformat(headers["produced_at"])}
        return kind(**values)

    return _made_before(make)


def _made_before(make: Callable[[dict[str, str]], Any]) -> Judge:
    made: dict[int, Any] = {}

    def judge(headers: dict[str, str]) -> bool:
        one = made.get(id(headers))
        if one is None:
            one = made[id(headers)] = make(headers)
        one.validate_basic()
        return True

    return _raises(judge, (ValueError, KeyError, TypeError))


def _raises(judge: Judge, error: Any) -> Judge:
    def quiet(headers: dict[str, str]) -> bool:
        try:
            judge(headers)
        except error:
            return False
        return True

    return quiet


_PEERS: Mapping[str, Callable[[Contract], Judge]] = {
    "jsonschema-rs": _jsonschema_rs,
    "ampy-bus 1.2.0, Headers made and validate_basic": _ampy_bus,
    "ampy-bus 1.2.0, validate_basic alone": _ampy_bus_judged,
    "ampy-bus 1.2.0, presence alone (in its NATS bus)": _ampy_bus_presence,
    "msgspec": _msgspec,
    "pydantic": _pydantic,
    "fastjsonschema": _fastjsonschema,
    "jsonschema": _jsonschema,
}


def peers(contract: Contract) -> Iterator[tuple[str, Judge | None]]:
    """Each peer's name and judge; None in its place where it is not installed."""
    for name, make in _PEERS.items():
        try:
            yield name, make(contract)
        except NotInstalledError:
            yield name, None
