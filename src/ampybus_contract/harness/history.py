"""What happened, in order: every operation as invoke, then ok, fail or info (D22)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from ampybus_contract.envelope import Envelope


class Operation(StrEnum):
    """What an actor did: hand an envelope to the bus, get one, or apply its effect."""

    PUBLISH = "publish"
    DELIVER = "deliver"
    EFFECT = "effect"


class Outcome(StrEnum):
    """``info`` is the indefinite one: the operation may or may not have happened."""

    INVOKE = "invoke"
    OK = "ok"
    FAIL = "fail"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a history; ``at`` is monotonic nanoseconds, ``headers`` and ``body`` are hashes."""

    at: int
    actor: str
    operation: Operation
    outcome: Outcome
    topic: str
    key: str
    id: str
    headers: str
    body: str


def event(at: int, actor: str, operation: Operation, outcome: Outcome, envelope: Envelope) -> Event:
    """An event about an envelope; ids are compared without regard to case (D10)."""
    headers = envelope.headers
    lines = "".join(f"{len(name)}:{name}{len(value)}:{value}" for name, value in sorted(headers.items()))
    return Event(
        at=at,
        actor=actor,
        operation=operation,
        outcome=outcome,
        topic=envelope.topic,
        key=headers.get("partition_key", ""),
        id=headers.get("message_id", "").lower(),
        headers=hashlib.sha256(lines.encode("utf-8", "surrogatepass")).hexdigest(),
        body=hashlib.sha256(envelope.payload).hexdigest(),
    )
