"""What anything that speaks to a bus offers to be judged."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol, runtime_checkable

from ampybus_contract.brokers.endpoint import Endpoint
from ampybus_contract.envelope import Envelope

__all__ = [
    "Audits",
    "Binding",
    "Crashes",
    "Endpoint",
    "Handler",
    "Kills",
    "Lags",
    "Redrives",
    "Replays",
    "Resumes",
    "Settlement",
    "Slows",
    "Subscription",
]

METRICS_FILE = "metrics.prom"
LOGS_FILE = "logs.jsonl"
SPANS_FILE = "spans.jsonl"


@dataclass(frozen=True, slots=True)
class Subscription:
    """A topic pattern and the consumer group that shares its messages."""

    pattern: str
    group: str


class Settlement(StrEnum):
    """A handler's answer: the effect is applied, try again later, or never try again."""

    OK = "ok"
    RETRY = "retry"
    REJECT = "reject"


Handler = Callable[[Envelope], Awaitable[Settlement]]


class Binding(Protocol):
    """The smallest useful binding. A handler that raises counts as one that answers ``retry``.

    Where a binding claims ``groups``, several of them may be in one group at once, each with a state of
    its own: they share the messages, and each key keeps its order while members come and go (D20).

    A binding that claims ``metrics``, ``logs`` or ``tracing`` writes what it claims into the directory
    ``endpoint.telemetry`` before ``stop`` returns: ``METRICS_FILE`` in Prometheus' text format; ``LOGS_FILE``
    with a JSON object a line, for each record of the contract; ``SPANS_FILE`` with a JSON object a line, for
    each span: ``name``, ``kind`` (producer, consumer, internal), ``trace_id``, ``span_id`` and
    ``parent_span_id`` in lower hex, ``links`` (a list of trace_id and span_id), ``attributes``.
    """

    async def start(self, endpoint: Endpoint) -> None:
        """Connect."""

    async def publish(self, envelope: Envelope) -> None:
        """Store an envelope; raises PublishError, definite or indefinite."""

    async def subscribe(self, subscription: Subscription, handler: Handler) -> None:
        """Deliver to the handler from now on; returns once messages will be received."""

    async def stop(self) -> None:
        """Finish what is in hand and disconnect."""


@runtime_checkable
class Redrives(Protocol):
    """What a binding that claims ``redrive`` offers too."""

    async def redrive(self, pattern: str, limit: int) -> int:
        """Publish again at most ``limit`` dead letters of the DLQ topics under ``pattern``; gives how many.

        Each once, on its origin topic, with the headers it had there (D25).
        """


@runtime_checkable
class Crashes(Protocol):
    """What a binding that claims ``durable_effects`` offers too."""

    async def crash(self) -> None:
        """End as a killed process does, once the next effect is remembered and before its acknowledgement.

        Returns when it has happened. Another binding takes over, with the same endpoint and groups.
        """


@runtime_checkable
class Replays(Protocol):
    """What a binding that claims ``replay`` offers too."""

    async def take_replays(self, subscription: Subscription, handler: Handler) -> None:
        """From now on, hand the handler the stored records that replay requests ask for (D26).

        A request is an envelope on the control topic of the environment that ``subscription.pattern`` names,
        its payload the contract's ReplayRequest. Of its records, the handler gets those under the pattern,
        in stored order, with all their headers and the one that names the request; nothing of it is published
        again. Records that the group has applied, live or replayed, have no second effect; others are not
        withheld (D23). Requests for one domain and scope are answered one after another. Returns once
        requests will be received.
        """


@runtime_checkable
class Lags(Protocol):
    """What a binding that claims ``lag`` offers too."""

    async def lag(self, group: str) -> int:
        """Records stored for a consumer group and not settled by it, whether handed out or not (D28)."""


@runtime_checkable
class Slows(Protocol):
    """What a binding that claims ``backpressure`` offers too."""

    async def slow_down(self, levels: int) -> None:
        """Hold back publishes of the domains of so many of the lowest priorities; 0 lets all go (D28).

        A priority is that of the domain in the contract; the highest is never held back. What is held back
        waits in ``publish``, and where it cannot wait longer fails with a definite error. None is dropped.
        """


@runtime_checkable
class Kills(Protocol):
    """What a binding that claims ``kill`` or ``checkpoint`` offers too."""

    async def kill(self) -> None:
        """End as a killed process does: nothing in hand is finished, stored or told any more."""


@runtime_checkable
class Resumes(Kills, Protocol):
    """What a binding that claims ``checkpoint`` offers too."""

    async def resume(self, subscription: Subscription, handler: Handler) -> None:
        """Hand over what is stored after the group's checkpoint, in stored order, and then what comes (D27).

        The checkpoint is the high watermark of each partition or key. It is kept in ``endpoint.state``,
        written after the effect, and found there by the next binding that is started with that directory.
        Without one everything is handed over. A group has one such reader at a time.
        """


@runtime_checkable
class Audits(Protocol):
    """What a binding that claims ``audit`` offers too."""

    async def capture(self, pattern: str, session: Path) -> None:
        """Write what is stored under a pattern, in stored order, as ``schema/session.schema.json`` says."""

    async def audit(self, session: Path) -> Sequence[tuple[str, int]]:
        """What is wrong with a session (D37), nothing for a good one: each record by its number, and how.

        It was ``tampered`` with, it is ``missing``, or it is there more than once: ``doubled``.
        """
