"""UUID version 7 (RFC 9562), the message ids of the contract (section 6.1, D10)."""

from __future__ import annotations

import secrets
import time
from uuid import UUID


def uuid7(unix_ms: int | None = None, random_bits: int | None = None) -> UUID:
    """A version 7 UUID of ``unix_ms`` (milliseconds since 1970, now if None) and 74 random bits."""
    ms = time.time_ns() // 1_000_000 if unix_ms is None else unix_ms
    bits = secrets.randbits(74) if random_bits is None else random_bits
    if not 0 <= ms < 1 << 48 or not 0 <= bits < 1 << 74:
        raise ValueError("unix_ms takes 48 bits, random_bits 74")
    high, low = bits >> 62, bits & ((1 << 62) - 1)
    return UUID(int=ms << 80 | 7 << 76 | high << 64 | 2 << 62 | low)


def uuid7_unix_ms(value: UUID) -> int:
    """The milliseconds since 1970 in a version 7 UUID."""
    return value.int >> 80
