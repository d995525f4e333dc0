"""Envelopes that nobody would make: bytes and headers as accidents leave them, by numbers alone.

Most break the contract, some keep it by chance; the validator knows which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random
from typing import Any

from google.protobuf.message import Message

from ampybus_contract.envelope import Envelope, Headers
from ampybus_contract.envelope.codec import compress
from ampybus_contract.envelope.registry import decode

_TIME = "google.protobuf.Timestamp"
_EXTREMES = (1_751_068_800_000, -(2**63), 2**63 - 1, -62_135_596_801, 253_402_300_800)
_NOISE_BYTES = (8, 512)
_ENCODING = "gzip"


def mangled(like: Envelope, way: str, seed: int) -> Envelope | None:
    """A valid envelope, mangled in one of ``MANGLINGS``; None where it does not apply to this one.

    The same for the same seed. Raises KeyError for another way.
    """
    other = _WAYS[way](like, Random(f"{seed} {way} {like.topic}"))
    return None if other == like else other


def _noise(like: Envelope, chooser: Random) -> Envelope:
    return replace(like, payload=chooser.randbytes(chooser.randint(*_NOISE_BYTES)))


def _packed_noise(like: Envelope, chooser: Random) -> Envelope:
    payload = compress(chooser.randbytes(chooser.randint(*_NOISE_BYTES)))
    return replace(like, headers=like.headers.with_(content_encoding=_ENCODING), payload=payload)


def _flipped(like: Envelope, chooser: Random) -> Envelope | None:
    if not like.payload:
        return None
    place, bit = chooser.randrange(len(like.payload)), 1 << chooser.randrange(8)
    changed = bytes([like.payload[place] ^ bit])
    return replace(like, payload=like.payload[:place] + changed + like.payload[place + 1 :])


def _cut(like: Envelope, chooser: Random) -> Envelope | None:
    return (
        replace(like, payload=like.payload[: chooser.randrange(len(like.payload))]) if like.payload else None
    )


def _headless(like: Envelope, chooser: Random) -> Envelope:
    return replace(_noise(like, chooser), headers=Headers({}))


def _few_headers(like: Envelope, chooser: Random) -> Envelope:
    kept = {name: value for name, value in like.headers.items() if chooser.random() < 0.5}
    return replace(like, headers=Headers(kept | {"message_id": like.headers["message_id"]}))


def _swapped(like: Envelope, chooser: Random) -> Envelope:
    names = [name for name in like.headers if name != "message_id"]
    values = [like.headers[name] for name in names]
    chooser.shuffle(values)
    changed: dict[str, str | None] = dict(zip(names, values, strict=True))
    return replace(like, headers=like.headers.with_(**changed))


def _far_times(like: Envelope, chooser: Random) -> Envelope | None:
    """Each instant of the payload where no calendar reaches, as when milliseconds are taken for seconds."""
    if "content_encoding" in like.headers or "schema_fqdn" not in like.headers:
        return None
    message = decode(like.headers["schema_fqdn"], like.payload)
    if not _move(message, chooser.choice(_EXTREMES)):
        return None
    return replace(like, payload=message.SerializeToString(deterministic=True))


def _move(message: Message, seconds: int) -> bool:
    moved = False
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        inner: Any = value if field.is_repeated else (value,)
        for item in inner:
            if field.message_type.full_name == _TIME:
                item.seconds, moved = seconds, True
            else:
                moved = _move(item, seconds) or moved
    return moved


_WAYS: Mapping[str, Callable[[Envelope, Random], Envelope | None]] = {
    "noise": _noise,
    "packed noise": _packed_noise,
    "flipped": _flipped,
    "cut": _cut,
    "headless": _headless,
    "few headers": _few_headers,
    "swapped": _swapped,
    "far times": _far_times,
}
MANGLINGS = tuple(_WAYS)
