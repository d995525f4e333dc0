"""The envelope: topic, headers and the payload bytes as sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ampybus_contract.envelope.headers import Headers

_SHOWN_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Envelope:
    """One record on the bus. ``payload`` holds the bytes as sent, compressed where headers say so.

    ``topic`` is text, because an envelope with a broken topic must be representable to be judged.
    """

    topic: str
    headers: Headers
    payload: bytes

    def __repr__(self) -> str:
        """All of a short envelope; of a long payload the first bytes and its size, so that it can be read."""
        more = len(self.payload) - _SHOWN_BYTES
        shown = repr(self.payload[:_SHOWN_BYTES]) + (f" and {more} bytes more" if more > 0 else "")
        return f"Envelope(topic={self.topic!r}, headers={self.headers!r}, payload={shown})"

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        """The same for IPython and Hypothesis, which would otherwise print every field in full."""
        printer.text(repr(self))
