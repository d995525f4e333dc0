"""What the NATS binding makes of a refusal: what was expected, what the server said, what to do about it."""

from __future__ import annotations

import nats.errors
import nats.js.errors

from ampybus_contract.bindings.nats_acks import DeniedError
from ampybus_contract.errors import BrokerError, PublishError

ROOM = "see the server's words; where it is full, give it or the stream more room"


def refused(expected: str, got: str, fix: str) -> PublishError:
    """A definite refusal to publish."""
    return PublishError(f"PUBLISH expected {expected}, got {got}. Fix: {fix}", definite=True)


def unsent(error: Exception, seconds: float) -> PublishError:
    """Of a publish that failed with what nats-py raises: definite where the server refused it.

    ``seconds`` is how long an ack was waited for. Indefinite is what may have been stored all the same: a
    server that is gone or stopped, and one whose disk is full, do not answer.
    """
    if isinstance(error, DeniedError):
        return refused("a user who may publish to the topic", str(error), "see the user's permissions")
    if isinstance(error, nats.js.errors.NoStreamResponseError):
        fix = "create it, start the server with -js"
        return refused("a stream that covers the topic", "no answer", fix)
    if isinstance(error, nats.errors.BadSubjectError | nats.errors.MaxPayloadError | nats.js.errors.APIError):
        return refused("an accepted message", str(error), ROOM)
    return PublishError(
        f"PUBLISH expected an ack within {seconds} s, got {type(error).__name__}: the message may be stored. "
        "Fix: publish again with the same message_id; if that goes on, see that the server runs and its disk "
        "has room",
        definite=False,
    )


def unreadable(wanted: str, error: Exception, denied: str = "") -> BrokerError:
    """Of an act on a stream that failed; ``denied`` is what the server said of the user's permissions."""
    got, fix = str(error) or type(error).__name__, ROOM
    if denied:
        got, fix = denied, "see the user's permissions"
    elif isinstance(error, nats.js.errors.NotFoundError):
        fix = "create it"
    elif isinstance(error, nats.js.errors.ServiceUnavailableError) and error.description is None:
        got, fix = "a server that answers without JetStream", "start nats-server with -js"
    elif isinstance(error, TimeoutError):
        fix = "see that the server runs"
    return BrokerError(f"BROKER expected {wanted}, got {got}. Fix: {fix}")


def uncovered(stream: str, subjects: list[str], pattern: str) -> BrokerError | None:
    """Of a subscription that a stream has nothing for, whatever is published; None where it may have."""
    if not subjects or any(overlap(subject, pattern) for subject in subjects):
        return None
    return BrokerError(
        f"BROKER expected a stream with subjects under {pattern}, got {stream} with {', '.join(subjects)}. "
        "Fix: add the subject to the stream, or name the stream that has it"
    )


def overlap(one: str, other: str) -> bool:
    """Whether a subject falls under both of two patterns."""
    ones, others = one.split("."), other.split(".")
    for left, right in zip(ones, others, strict=False):
        if ">" in (left, right):
            return True
        if left != right and "*" not in (left, right):
            return False
    return len(ones) == len(others)
