"""A Kafka broker's refusals in words: what it expected, and what to do."""

from __future__ import annotations

from aiokafka import errors

from ampybus_contract.errors import PublishError

TOO_LARGE = (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError)
NOT_ALLOWED = (errors.TopicAuthorizationFailedError, errors.ClusterAuthorizationFailedError)
REFUSALS = (*TOO_LARGE, *NOT_ALLOWED, errors.InvalidTopicError, errors.PolicyViolationError)


def refusal(error: BaseException, topic: str, largest: int) -> PublishError:
    """The definite error for one of ``REFUSALS``; ``largest`` is the binding's own ceiling in bytes."""
    expected, fix = "an accepted record", "see the broker's words"
    if isinstance(error, TOO_LARGE):
        expected = f"records within max.message.bytes of the Kafka topic {topic}"
        fix = f"let it be {largest} or more, or use the pointer pattern"
    if isinstance(error, NOT_ALLOWED):
        expected = f"a user who may write to the Kafka topic {topic}"
        fix = f"let it: kafka-acls --add --allow-principal User:NAME --operation Write --topic {topic}"
    return PublishError(f"PUBLISH expected {expected}, got {error}. Fix: {fix}", definite=True)
