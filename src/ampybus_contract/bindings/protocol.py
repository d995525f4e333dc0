"""What anything that speaks to a bus offers to be judged."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from ampybus_contract.brokers.endpoint import Endpoint
from ampybus_contract.envelope import Envelope

__all__ = ["Binding", "Crashes", "Endpoint", "Handler", "Redrives", "Settlement", "Subscription"]

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
