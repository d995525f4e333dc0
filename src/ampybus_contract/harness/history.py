"""What happened, in order: every operation as invoke, then ok, fail or info (D22)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ampybus_contract.envelope import Envelope

UNKNOWN = -1
RAISED = "raise"


class Operation(StrEnum):
    """What an actor did with an envelope.

    ``inject`` and ``store`` are the harness's own view of the wire: what it put there without the binding,
    and what it found there at the end. A ``subscribe`` has an empty envelope and a pattern, and so has a
    ``replay``: a group that takes replays. A ``settle`` is what a handler answered that did not apply its
    message; its error is the answer: ``retry``, ``reject``, or ``raise`` for a handler that raised. A
    ``fault`` is what the harness did to the broker, a ``backlog``
    how much the broker says is not acknowledged yet, ``held`` how much of that one consumer was handed out.
    A ``lag`` is what the binding says of a group, a ``slow`` how many priorities it was told to hold back.
    A ``buried`` says when so many dead letters were there. ``replace`` and ``remove`` spoiled the stored
    payload of a message. ``metrics``, ``log`` and ``span`` are what the binding showed of its work: all
    metrics, one record, one span. A ``secret`` is a password that the binding was given, a ``show`` a text
    that it gave out. A ``connect`` is a binding that was started on another endpoint and published there; its
    pattern says why it must not, its count how many bytes a stranger could read. An ``ack`` is a consumer's
    acknowledgement, in recordings of those who see it. A ``capture`` is one record of a session file: its
    count is the number there, its error the payload hash there, its pattern what was captured. A ``tamper``
    is what was done to the record of that number, an ``audit`` what the binding found. An
    ``unfinished`` is a delivery that the handler did not finish; its error says why.
    """

    SUBSCRIBE = "subscribe"
    PUBLISH = "publish"
    INJECT = "inject"
    DELIVER = "deliver"
    SETTLE = "settle"
    ACK = "ack"
    EFFECT = "effect"
    STORE = "store"
    FAULT = "fault"
    REDRIVE = "redrive"
    BACKLOG = "backlog"
    REPLAY = "replay"
    HELD = "held"
    LAG = "lag"
    SLOW = "slow"
    BURIED = "buried"
    REPLACE = "replace"
    REMOVE = "remove"
    SECRET = "secret"
    SHOW = "show"
    METRICS = "metrics"
    LOG = "log"
    SPAN = "span"
    CONNECT = "connect"
    CAPTURE = "capture"
    TAMPER = "tamper"
    AUDIT = "audit"
    UNFINISHED = "unfinished"


class Outcome(StrEnum):
    """``info`` is the indefinite one: the operation may or may not have happened."""

    INVOKE = "invoke"
    OK = "ok"
    FAIL = "fail"
    INFO = "info"


class HashedPayload(bytes):
    """Stands for a payload that a recording names by its hash only; its length is that of the payload."""

    size: int

    def __new__(cls, digest: str, size: int) -> HashedPayload:
        """The hash is the content, so that equal payloads are equal."""
        made = super().__new__(cls, digest.encode())
        made.size = size
        return made

    def __len__(self) -> int:
        return self.size


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a history; ``at`` is monotonic nanoseconds, ``attempt`` counts deliveries from 1.

    ``position`` is the place of a message among those of its topic or partition, as the broker counts, or
    ``UNKNOWN``. ``pattern`` is what a delivering subscription asked for; ``error`` is what the binding said
    on a failure, what a fault was, or what of a stored message is not as the contract maps it to the broker;
    ``count`` is the figure of a backlog, of what is held, of a lag, of a slow, the milliseconds of a fault
    that has a length, or the partition of a stored message; ``said`` the text of telemetry, of a secret or
    of what was shown. ``due`` is when a publish was to begin by the plan of an open loop, else ``UNKNOWN``.
    """

    at: int
    actor: str
    operation: Operation
    outcome: Outcome
    envelope: Envelope
    attempt: int = 1
    pattern: str = ""
    error: str = ""
    count: int = 0
    said: str = ""
    position: int = UNKNOWN
    due: int = UNKNOWN

    @property
    def id(self) -> str:
        """The message id; ids are compared without regard to case (D10)."""
        return self.envelope.headers.plain.get("message_id", "").lower()

    @property
    def topic(self) -> str:
        """The topic as text."""
        return self.envelope.topic

    @property
    def key(self) -> str:
        """The partition key, empty where there is none."""
        return self.envelope.headers.plain.get("partition_key", "")


@dataclass(frozen=True, slots=True)
class Anomaly:
    """What a checker found: a sentence, and the smallest part of the history that shows it."""

    sentence: str
    events: tuple[Event, ...]
