"""The envelope: topic, headers and the payload bytes as sent."""

from __future__ import annotations

from dataclasses import dataclass

from ampybus_contract.envelope.headers import Headers


@dataclass(frozen=True, slots=True)
class Envelope:
    """One record on the bus. ``payload`` holds the bytes as sent, compressed where headers say so.

    ``topic`` is text, because an envelope with a broken topic must be representable to be judged.
    """

    topic: str
    headers: Headers
    payload: bytes
