"""Envelopes written as JSON objects, in the spellings found in the wild."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from ampybus_contract.contract import Contract, default_contract
from ampybus_contract.envelope.codec import compress
from ampybus_contract.envelope.envelope import Envelope
from ampybus_contract.envelope.headers import Headers
from ampybus_contract.envelope.registry import from_json
from ampybus_contract.errors import FixtureError, HeaderError

_BYTES = ("payload_b64", "payload_base64")
_SPELLINGS = ("payload", *_BYTES, "payload_json")


@dataclass(frozen=True, slots=True)
class Fixture:
    """An envelope; ``has_payload`` is False where the fixture only illustrates its payload."""

    envelope: Envelope
    has_payload: bool


def read_fixture(value: Any, contract: Contract | None = None, *, headers_only: bool = False) -> Fixture:
    """Build an envelope from parsed JSON; without its payload where ``headers_only``.

    ``payload`` is protobuf JSON of the type in ``schema_fqdn`` and is compressed where the headers say
    gzip; ``payload_b64`` and ``payload_base64`` are the bytes as sent; ``payload_json`` illustrates only.
    Raises FixtureError for any other shape, DecodeError where ``payload`` does not fit its type.
    """
    if not isinstance(value, dict):
        raise _wrong("a JSON object", type(value).__name__, "write one envelope as an object")
    topic, headers = value.get("topic"), value.get("headers")
    if not isinstance(topic, str):
        raise _wrong("a text in 'topic'", repr(topic)[:80], "add the topic")
    if not isinstance(headers, dict):
        raise _wrong("an object in 'headers'", repr(headers)[:80], "add the headers")
    try:
        text_headers = Headers(headers)
    except HeaderError as error:
        wrong = sorted(name for name, text in headers.items() if not isinstance(text, str))
        raise _wrong(
            "text in every header", f"another type in {', '.join(wrong)}", "quote the values"
        ) from error
    if headers_only:
        return Fixture(Envelope(topic, text_headers, b""), False)
    given = [name for name in _SPELLINGS if name in value]
    if len(given) > 1:
        raise _wrong("one payload", " and ".join(given), "keep one of them")
    spelling = given[0] if given else None
    payload = b""
    if spelling in _BYTES:
        payload = _from_base64(value[spelling])
    elif spelling == "payload":
        payload = readable_payload(value, contract or default_contract())
        if headers.get("content_encoding") == "gzip":
            payload = compress(payload)
    envelope = Envelope(topic, text_headers, payload)
    return Fixture(envelope, spelling in ("payload", *_BYTES) or "blob_ref" in headers)


def readable_payload(value: dict[str, Any], contract: Contract) -> bytes:
    """The wire bytes, uncompressed, of a fixture's ``payload``. Raises DecodeError where it does not fit."""
    return from_json(contract.canonical(value["headers"].get("schema_fqdn", "")), value["payload"])


def _from_base64(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise _wrong("base64 text as payload", str(error), "encode the payload as sent") from error


def _wrong(expected: str, got: str, fix: str) -> FixtureError:
    return FixtureError(f"FIXTURE expected {expected}, got {got}. Fix: {fix}")
