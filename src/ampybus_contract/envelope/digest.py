"""Payloads before compression, and hashes as headers and files carry them (D13)."""

from __future__ import annotations

import hashlib

from ampybus_contract.contract import Contract
from ampybus_contract.envelope.codec import decompress
from ampybus_contract.envelope.envelope import Envelope
from ampybus_contract.errors import DecodeError


def sha256_of(data: bytes) -> str:
    """``sha256:`` and 64 lower-case hex digits."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def plain_payload(envelope: Envelope, contract: Contract) -> bytes:
    """The payload before compression. Raises DecodeError where it cannot be undone (D19)."""
    if envelope.headers.get("content_encoding") in contract.payload.encodings:
        return decompress(envelope.payload, contract.payload.decoded_at_most)
    return envelope.payload


def decoded_digest(envelope: Envelope, contract: Contract) -> str:
    """That of the payload before compression; of the bytes as they are, where they cannot be decoded."""
    try:
        return sha256_of(plain_payload(envelope, contract))
    except DecodeError:
        return sha256_of(envelope.payload)
