"""What the reference binding needs of a broker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ampybus_contract.bindings.protocol import Endpoint, Subscription
from ampybus_contract.envelope import Envelope


def always() -> bool:
    """A message that stays with the consumer it was given to."""
    return True


async def nothing() -> None:
    """An acknowledgement that nobody waits for."""


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when by the broker's time of storing, in nanoseconds since the epoch; None is open."""

    start: int | None
    end: int | None


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message as it came, its position in the stream, and the way to acknowledge it.

    ``begin`` is asked right before work on the message begins: False where it has gone to another consumer
    meanwhile, and is to be let go. ``behind``: how many more wait for the group, as far as the broker said.
    """

    position: Hashable
    envelope: Envelope
    ack: Callable[[], Awaitable[None]]
    begin: Callable[[], bool] = always
    behind: int = 0


class Transport(Protocol):
    """Stores and hands out messages; knows nothing of the contract's delivery rules."""

    async def open(self, endpoint: Endpoint) -> None:
        """Connect."""

    async def send(self, envelope: Envelope, act: str = "") -> None:
        """Store; raises PublishError.

        ``act`` tells a further life of a message, as a dead letter or redriven, from its first: a broker that
        drops repeated ids must not drop it, and may drop a second one of the same act.
        """

    async def consume(self, subscription: Subscription) -> AsyncIterator[Incoming]:
        """Attach a consumer group, then iterate over its messages without end."""

    async def close(self) -> None:
        """Disconnect."""


@runtime_checkable
class Reads(Protocol):
    """A transport that hands out again what is stored, outside all consumer groups."""

    def read(self, pattern: str, span: Span) -> AsyncIterator[Incoming]:
        """What is stored under a pattern when the reading begins, in stored order, and then an end.

        ``span`` is what must be read; more may be, as the caller judges each record by its own time.
        """


@runtime_checkable
class Encrypts(Protocol):
    """A transport that connects by TLS where the endpoint asks for it, and then never without."""

    encrypts: bool


@runtime_checkable
class Shares(Protocol):
    """A transport on which members of a consumer group come and go, and keys keep their order."""

    shares: bool


@runtime_checkable
class Leaves(Protocol):
    """A transport that can hand back what a member holds, before the time to acknowledge it is over."""

    async def leave(self, group: str) -> None:
        """Let the other members of a group have what this one was handed and did not acknowledge."""


@runtime_checkable
class Measures(Protocol):
    """A transport that knows how far a consumer group is behind."""

    async def lag(self, group: str) -> int:
        """Messages stored for a group and not acknowledged by it, handed out or not, else 0."""


@runtime_checkable
class Follows(Protocol):
    """A transport whose positions are whole numbers, and that hands out what is stored after one of them."""

    def follow(self, pattern: str, after: int | None) -> AsyncIterator[Incoming]:
        """What is stored under a pattern, in stored order, and then what comes, without end.

        ``after`` is the last position not to hand out, None for all. Nothing is acknowledged to the broker.
        """
