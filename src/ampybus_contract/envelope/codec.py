"""The gzip codec (contract section 4, D16, D19)."""

from __future__ import annotations

import gzip
import zlib

from ampybus_contract.errors import DecodeError

EXTRA_HEADER = 16
EXTRA_MOST = 0xFFFF - 4


def compress(payload: bytes) -> bytes:
    """Gzip with a zero time stamp, so that the same input gives the same bytes on this machine."""
    return gzip.compress(payload, mtime=0)


def stored(payload: bytes, size: int) -> bytes:
    """Gzip of exactly ``size`` bytes: the payload as it is, and an extra field to fill up (RFC 1952).

    Raises ValueError where the field would have to hold less than nothing, or more than it can.
    """
    packer = zlib.compressobj(0, wbits=-zlib.MAX_WBITS)
    body = packer.compress(payload) + packer.flush()
    body += zlib.crc32(payload).to_bytes(4, "little") + len(payload).to_bytes(4, "little")
    room = size - len(body) - EXTRA_HEADER
    if not 0 <= room <= EXTRA_MOST:
        raise ValueError(f"{len(payload)} bytes do not fill up to {size}")
    extra = b"FL" + room.to_bytes(2, "little") + bytes(room)
    return b"\x1f\x8b\x08\x04" + bytes(5) + b"\xff" + len(extra).to_bytes(2, "little") + extra + body


def decompress(payload: bytes, limit: int) -> bytes:
    """Undo gzip, holding at most ``limit`` bytes. Raises DecodeError on junk, truncation or a bomb."""
    chunks: list[bytes] = []
    size = 0
    rest = payload
    if not rest:
        raise DecodeError("DECODE expected gzip data, got no bytes. Fix: compress the payload")
    while rest:
        stream = zlib.decompressobj(wbits=31)
        try:
            chunk = stream.decompress(rest, limit - size + 1)
        except zlib.error as error:
            raise DecodeError(f"DECODE expected gzip data, got {error}. Fix: compress the payload") from error
        size += len(chunk)
        if size > limit:
            raise DecodeError(
                f"DECODE expected at most {limit} bytes after decompression, got more. "
                "Fix: use the pointer pattern"
            )
        if not stream.eof:
            raise DecodeError("DECODE expected a whole gzip stream, got a truncated one. Fix: send all bytes")
        chunks.append(chunk)
        rest = stream.unused_data
    return b"".join(chunks)
