"""The lines between the harness and an adapter: JSON objects, as ``schema/*-adapter.schema.json`` say."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ampybus_contract.bindings.protocol import Endpoint
from ampybus_contract.brokers.tls import TlsFiles
from ampybus_contract.envelope import Envelope, Headers
from ampybus_contract.errors import AdapterError

PROTOCOL = 1
LONGEST_LINE = 16 * 1024 * 1024
SHOWN = 120
DAMAGES = ("tampered", "missing", "doubled")
KINDS = ("publish", "unsupported", "failed", "target")


class LineWriter:
    """Writes lines to a pipe, all that one turn of the event loop makes at once."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self.write = write
        self.waiting: list[bytes] = []

    def put(self, line: Mapping[str, Any]) -> None:
        """Write a line, at the end of this turn of the loop."""
        if not self.waiting:
            asyncio.get_running_loop().call_soon(self.flush)
        self.waiting.append(written(line))

    def flush(self) -> None:
        """Write what waits."""
        lines, self.waiting = self.waiting, []
        if lines:
            self.write(b"".join(lines))


def written(line: Mapping[str, Any]) -> bytes:
    """A line to an adapter."""
    return json.dumps(line).encode() + b"\n"


def read(line: bytes) -> dict[str, Any]:
    """A line from an adapter. Raises AdapterError where it is none of the protocol."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _wrong(line, f"no JSON ({str(error)[:SHOWN]})") from error
    if not well_formed(found):
        raise _wrong(line, "another shape")
    made: dict[str, Any] = found
    return made


def well_formed(found: object) -> bool:
    """Whether a value is a line as ``from-adapter.schema.json`` says; the same, but quick to find out."""
    if not isinstance(found, dict):
        return False
    if "deliver" in found:
        return (
            found.keys() == {"deliver", "subscription", "envelope"}
            and _name(found["deliver"])
            and _number(found["subscription"], 1)
            and _envelope(found["envelope"])
        )
    if "abandon" in found:
        return len(found) == 1 and _name(found["abandon"])
    if not _number(found.get("id"), 1):
        return False
    if "ok" in found:
        return len(found) == 2 and _result(found["ok"])
    return found.keys() == {"id", "error"} and _error(found["error"])


def _name(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _number(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _envelope(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"topic", "headers", "payload"}
        and isinstance(value["topic"], str)
        and isinstance(value["payload"], str)
        and isinstance(value["headers"], dict)
        and all(isinstance(text, str) for text in value["headers"].values())
    )


def _result(value: object) -> bool:
    if not isinstance(value, dict) or not value.keys() <= _RESULTS.keys():
        return False
    return all(_RESULTS[name](part) for name, part in value.items())


def _error(value: object) -> bool:
    return (
        isinstance(value, dict)
        and {"kind", "message"} <= value.keys() <= {"kind", "message", "definite", "traceback"}
        and value["kind"] in KINDS
        and isinstance(value["message"], str)
        and isinstance(value.get("definite", False), bool)
        and isinstance(value.get("traceback", ""), str)
    )


def _texts(value: object) -> bool:
    texts = isinstance(value, list) and all(isinstance(item, str) for item in value)
    return texts and isinstance(value, list) and len(set(value)) == len(value)


def _damages(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, dict)
        and item.keys() == {"damage", "number"}
        and item["damage"] in DAMAGES
        and _number(item["number"], 1)
        for item in value
    )


_RESULTS: Mapping[str, Callable[[object], bool]] = {
    "protocol": lambda value: _number(value, 1) and value == PROTOCOL,
    "name": lambda value: isinstance(value, str),
    "capabilities": _texts,
    "count": lambda value: _number(value, 0),
    "damages": _damages,
}


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
    except (binascii.Error, ValueError) as error:
        raise AdapterError(
            f"ADAPTER expected an envelope with a base64 payload, got {str(error)[:SHOWN]}. Fix: encode it"
        ) from error
    return Envelope(given["topic"], Headers.adopt(given["headers"]), payload)


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
        "tls": None if endpoint.tls is None else _tls_to(endpoint.tls),
    }


def _tls_to(files: TlsFiles) -> dict[str, str | None]:
    named = {"ca": files.ca, "certificate": files.certificate, "key": files.key}
    return {name: None if path is None else str(path) for name, path in named.items()}


def endpoint_from(given: Mapping[str, Any]) -> Endpoint:
    """An endpoint as it was written by ``endpoint_to``."""

    def path(text: str | None) -> Path | None:
        return None if text is None else Path(text)

    tls = given.get("tls")
    return Endpoint(
        given["url"],
        given["stream"],
        state=path(given["state"]),
        prefix=given["prefix"],
        inbox=given["inbox"],
        telemetry=path(given["telemetry"]),
        blobs=given["blobs"],
        tls=None if tls is None else TlsFiles(**{name: path(text) for name, text in tls.items()}),
    )
