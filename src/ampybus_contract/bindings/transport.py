"""What the reference binding needs of a broker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Hashable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from ampybus_contract.bindings.protocol import Endpoint, Subscription
from ampybus_contract.envelope import Envelope


def always() -> bool:
    """A message that stays with the consumer it was given to."""
    return True


async def nothing() -> None:
    """An acknowledgement that nobody waits for."""


class _Done:
    """Something to await that is over already, for half of what a coroutine costs."""

    def __await__(self) -> Generator[None, None, None]:
        return iter(())  # type: ignore[return-value]


DONE = _Done()


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when by the broker's time of storing, in nanoseconds since the epoch; None is open."""

    start: int | None
    end: int | None


class Position(NamedTuple):
    """A place in a stream: the part whose order it is in, and a number that rises within the part."""

    part: str
    number: int

    def __str__(self) -> str:
        return f"{self.part}:{self.number}" if self.part else str(self.number)


@dataclass(slots=True)
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

    def renew(self, again: Incoming) -> None:
        """Take over the handles of the same message that the broker sent again: they hold longer."""
        self.ack, self.begin = again.ack, again.begin


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
    """A transport that hands out what is stored after a position in each part of a stream."""

    def follow(self, pattern: str, after: Mapping[str, int]) -> AsyncIterator[Incoming]:
        """What is stored under a pattern, and then what comes, until the transport is closed.

        Every position is a ``Position``; each part is in stored order, and parts come in any order. ``after``
        is the last number of a part not to hand out; a part that it does not name, because it is new, comes
        from its first record on. A number that is not above the one before it in its part says that the part
        began anew. Nothing is acknowledged to the broker.
        """
