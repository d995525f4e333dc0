"""The lines between the harness and an adapter: JSON objects, as ``schema/*-adapter.schema.json`` say."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from ampybus_contract.bindings.protocol import Endpoint
from ampybus_contract.envelope import Envelope, Headers
from ampybus_contract.errors import AdapterError, HeaderError

PROTOCOL = 1
LONGEST_LINE = 16 * 1024 * 1024
SHOWN = 120


@cache
def _schema() -> Draft202012Validator:
    path = Path(__file__).with_name("schema") / "from-adapter.schema.json"
    return Draft202012Validator(json.loads(path.read_text(encoding="utf-8")))


def written(line: Mapping[str, Any]) -> bytes:
    """A line to an adapter."""
    return json.dumps(line).encode() + b"\n"


def read(line: bytes) -> dict[str, Any]:
    """A line from an adapter. Raises AdapterError where it is none of the protocol."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _wrong(line, f"no JSON ({str(error)[:SHOWN]})") from error
    if not _schema().is_valid(found):
        raise _wrong(line, "another shape")
    made: dict[str, Any] = found
    return made


def _wrong(line: bytes, what: str) -> AdapterError:
    shown = line[:SHOWN].decode(errors="backslashreplace").strip()
    return AdapterError(
        f"ADAPTER expected a line as from-adapter.schema.json says, got {what}: {shown!r}. "
        "Fix: write the protocol to standard output and nothing else, logs to standard error"
    )


def envelope_to(envelope: Envelope) -> dict[str, Any]:
    """An envelope as an adapter gets it."""
    payload = base64.b64encode(envelope.payload).decode()
    return {"topic": envelope.topic, "headers": dict(envelope.headers), "payload": payload}


def envelope_from(given: Mapping[str, Any]) -> Envelope:
    """An envelope as an adapter gave it. Raises AdapterError where it cannot be one."""
    try:
        payload = base64.b64decode(given["payload"], validate=True)
        return Envelope(given["topic"], Headers(given["headers"]), payload)
    except (binascii.Error, ValueError, HeaderError) as error:
        raise AdapterError(
            f"ADAPTER expected an envelope with a base64 payload, got {str(error)[:SHOWN]}. Fix: encode it"
        ) from error


def endpoint_to(endpoint: Endpoint) -> dict[str, Any]:
    """An endpoint as an adapter gets it."""
    return {
        "url": endpoint.url,
        "stream": endpoint.stream,
        "prefix": endpoint.prefix,
        "inbox": endpoint.inbox,
        "state": None if endpoint.state is None else str(endpoint.state),
        "telemetry": None if endpoint.telemetry is None else str(endpoint.telemetry),
        "blobs": endpoint.blobs,
    }
