"""Instants as whole nanoseconds since the epoch, which a float cannot hold (D11, D26)."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp


def nanoseconds(text: str) -> int:
    """The instant that RFC 3339 text names. Raises ValueError where it names none."""
    stamp = Timestamp()
    stamp.FromJsonString(text)
    return stamp.ToNanoseconds()


def instant_text(instant: int) -> str:
    """RFC 3339 in UTC with ``Z`` and as many of nine fractional digits as it takes."""
    stamp = Timestamp()
    stamp.FromNanoseconds(instant)
    return stamp.ToJsonString()
