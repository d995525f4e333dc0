"""What a broker lets the harness do to it, so that a binding meets what production brings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from ampybus_contract.envelope import Envelope

LEVERS = frozenset({"backlog", "clock", "duplicate_window", "lost_ack", "outage"})


SECURE = frozenset({"tls", "mtls", "rotation"})


@runtime_checkable
class Renews(Protocol):
    """A probe of a broker whose certificates are ours (``rotation``)."""

    async def renew_certificates(self) -> None:
        """Replace those of the broker and of its clients, from another authority, while both run."""


@runtime_checkable
class Restarts(Protocol):
    """A probe of a broker whose process is ours (``restart``): killed and started again with its data."""

    async def kill(self) -> None:
        """End the broker at once, as kill -9 does."""

    async def restart(self) -> None:
        """Start it again at the same address, and wait until it takes clients."""


@runtime_checkable
class Pauses(Protocol):
    """A probe of a broker whose process can be stopped where it is (``pause``)."""

    async def pause(self) -> None:
        """Connections stay open, nothing answers."""

    async def go_on(self) -> None:
        """Let it go on."""


@runtime_checkable
class Linked(Protocol):
    """A probe of a broker that tells its clients where to go, so that a link has to be there (``proxy``)."""

    @property
    def link(self) -> tuple[int, int]:
        """Ports on 127.0.0.1: where the broker takes what comes by the link, and where the link begins."""


@runtime_checkable
class Leads(Protocol):
    """A probe of a cluster whose servers are ours (``cluster``)."""

    async def change_leader(self) -> None:
        """Take the leader away, wait until others lead, and bring it back."""


@runtime_checkable
class Clock(Protocol):
    """A probe that knows by which time the broker stamps what it stores (``clock``)."""

    async def now(self) -> int:
        """Nanoseconds since the epoch."""


@runtime_checkable
class Holds(Protocol):
    """A probe that sees how much consumers hold."""

    async def held(self) -> int:
        """The most messages that one consumer was handed and has not acknowledged."""


@runtime_checkable
class Maps(Protocol):
    """A probe that sees of a stored message what is no part of its envelope."""

    @property
    def unmapped(self) -> Mapping[int, str]:
        """What is not as the contract maps envelopes to this broker, by place among what was stored last."""


@runtime_checkable
class Partitions(Protocol):
    """A probe of a broker that splits a topic (``partitions``)."""

    @property
    def partitions(self) -> Sequence[int]:
        """The partition of each message, by place among what was stored last."""


@runtime_checkable
class Fits(Protocol):
    """A probe of a broker that does not hold every envelope as it is."""

    def unfit(self, envelope: Envelope) -> str:
        """The rule by which this broker would alter an envelope or not take it; empty where none does."""


@runtime_checkable
class Levers(Protocol):
    """A probe that can also disturb its stream."""

    async def accept_only(self, patterns: Sequence[str] | None) -> None:
        """Refuse what is published outside these patterns; None takes everything again (``outage``)."""

    async def lose_acks(self, lost: bool) -> None:
        """Store what is published and answer nothing (``lost_ack``)."""

    async def duplicate_window(self, seconds: float) -> None:
        """How long the broker itself drops a repeated id (``duplicate_window``)."""


@runtime_checkable
class Backlog(Protocol):
    """A probe that knows what its consumers have left to do (``backlog``)."""

    async def redeliver_after(self, seconds: float) -> None:
        """How soon comes again what was handed out and not acknowledged, where that is a matter of time."""

    async def backlog(self) -> int:
        """Messages that consumers have not acknowledged, handed out or not."""
