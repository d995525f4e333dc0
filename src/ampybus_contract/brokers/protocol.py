"""What a broker offers to a conformance run."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

from ampybus_contract.brokers.endpoint import Endpoint
from ampybus_contract.envelope import Envelope

T = TypeVar("T")


class Probe(Protocol):
    """The harness's own view of the wire, independent of the binding."""

    async def inject(self, envelope: Envelope) -> None:
        """Put an envelope on the wire as it is, right or wrong."""

    async def stored(self) -> list[Envelope]:
        """Everything the broker holds for this run, in its order."""


class Broker(Protocol):
    """A broker for many runs, each on a stream of its own."""

    name: str
    settings: Mapping[str, str]

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end, in the broker's time."""

    def stream(self) -> AbstractAsyncContextManager[tuple[Endpoint, Probe]]:
        """A fresh stream, gone when the block ends."""
