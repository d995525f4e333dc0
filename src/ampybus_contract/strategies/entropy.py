"""Decisions read from bytes; zero bytes, and none at all, decide for the simplest value."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")


class Entropy:
    """Consumes bytes that Hypothesis drew, so that shrinking the bytes towards zero shrinks what they decide.

    One draw of many bytes costs far less than one draw for each field.
    """

    __slots__ = ("_bytes", "_position")

    def __init__(self, data: bytes) -> None:
        self._bytes = data
        self._position = 0

    def byte(self) -> int:
        """The next byte, zero after the last."""
        position = self._position
        self._position = position + 1
        return self._bytes[position] if position < len(self._bytes) else 0

    def below(self, limit: int) -> int:
        """A number from zero up to, but not including, ``limit``."""
        if limit <= 1:
            return 0
        size = ((limit - 1).bit_length() + 7) // 8
        start = self._position
        self._position = start + size
        return int.from_bytes(self._bytes[start : start + size], "big") % limit

    def chance(self, of_256: int) -> bool:
        """True in about ``of_256`` of 256 cases; False for a zero byte."""
        return self.byte() >= 256 - of_256

    def choice(self, options: Sequence[T]) -> T:
        """One of the options; the first is the simplest."""
        return options[self.below(len(options))]

    def noise(self, bits: int) -> int:
        """A wide number from two bytes, for ids that nobody reads; zero for zero bytes."""
        seed = self._bytes[self._position : self._position + 2]
        self._position += 2
        if not any(seed):
            return 0
        wide = blake2b(seed + len(self._bytes).to_bytes(4, "big") + self._bytes[:16]).digest()
        return int.from_bytes(wide, "big") & ((1 << bits) - 1)

    def integer(self, low: int, high: int, origin: int = 0) -> int:
        """A number within the bounds: near ``origin``, anywhere, or at a bound, each often."""
        origin = min(max(origin, low), high)
        kind = self.byte()
        if kind < 128:
            offset = self.below(256)
            return min(origin + offset, high) if kind < 96 else max(origin - offset, low)
        if kind < 224:
            return low + self.below(high - low + 1)
        return high if kind < 240 else low
