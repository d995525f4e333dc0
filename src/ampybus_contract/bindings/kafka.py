"""The Kafka transport (contract section 15.2, D30)."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import errors as kafka_errors

from ampybus_contract.bindings.kafka_ends import end_consumer, end_producer, ended_on_failure
from ampybus_contract.bindings.kafka_group import KafkaGroup, envelope_of
from ampybus_contract.bindings.kafka_reader import KafkaReader
from ampybus_contract.bindings.protocol import Endpoint, Subscription
from ampybus_contract.bindings.transport import Incoming, Span
from ampybus_contract.brokers.kafka_address import KafkaAddress
from ampybus_contract.contract import default_contract
from ampybus_contract.contract.chapters import KafkaMapping
from ampybus_contract.envelope import Envelope
from ampybus_contract.errors import BrokerError, PublishError

CONNECT_SECONDS = 10.0
ACCEPT_SECONDS = 3.0
PUBLISH_SECONDS = 5.0
CLOSE_SECONDS = 3.0
ANSWER_SECONDS = 5.0
SESSION_SECONDS = 10.0
HEARTBEAT_SECONDS = 1.0
NEW_TOPICS_SECONDS = 5.0
FETCH_WAIT_MS = 100
MESSAGE_BYTES = 1_048_576
BATCH_OVERHEAD = 61
BATCH_BYTES = 131_072
RECORD_OVERHEAD = 36
VARINT = 5
REFUSALS = (
    kafka_errors.MessageSizeTooLargeError,
    kafka_errors.RecordListTooLargeError,
    kafka_errors.TopicAuthorizationFailedError,
    kafka_errors.ClusterAuthorizationFailedError,
    kafka_errors.InvalidTopicError,
    kafka_errors.PolicyViolationError,
)


class KafkaTransport:
    """Kafka topic = the topic's first tokens, key = partition key, headers = record headers in UTF-8.

    Publishes with ``acks=all`` and the idempotent producer. Commits the offset up to which all of a
    partition is acknowledged. Its ceiling is ``MESSAGE_BYTES`` for key, headers, payload and overhead.
    """

    encrypts = True
    shares = True

    def __init__(self, rule: KafkaMapping | None = None, tls_minimum: str | None = None) -> None:
        self.rule = rule or default_contract().kafka
        self.tls_minimum = tls_minimum or default_contract().security.tls_minimum
        self.tokens = len(self.rule.topic.split("."))
        self.producer: AIOKafkaProducer | None = None
        self.turn = asyncio.Lock()
        self.groups: list[KafkaGroup] = []
        self.options: dict[str, Any] = {}
        self.prefix = ""

    async def open(self, endpoint: Endpoint) -> None:
        """Connect. Raises BrokerError where no broker answers within ``CONNECT_SECONDS``."""
        self.options = KafkaAddress.parse(endpoint.url, endpoint.tls).options(self.tls_minimum)
        self.prefix = endpoint.prefix
        producer = AIOKafkaProducer(
            **self.options,
            acks="all",
            enable_idempotence=True,
            max_request_size=MESSAGE_BYTES,
            max_batch_size=BATCH_BYTES,
            request_timeout_ms=int(PUBLISH_SECONDS * 1000),
        )
        end = partial(end_producer, producer, CLOSE_SECONDS)
        try:
            async with ended_on_failure(end), asyncio.timeout(CONNECT_SECONDS):
                await producer.start()
        except (OSError, kafka_errors.KafkaError, TimeoutError) as error:
            raise BrokerError(
                f"BROKER expected a Kafka broker, got {type(error).__name__}. Fix: see that it runs, the "
                "address it advertises, and with TLS the certificates"
            ) from error
        self.producer = producer

    async def send(self, envelope: Envelope, act: str = "") -> None:
        """Store and wait for the ack. Raises PublishError: indefinite on a timeout, definite on a refusal."""
        if self.producer is None:
            raise _refused("an open binding", "a closed one", "start it")
        if self.rule.topic_header in envelope.headers:
            raise _refused("no header of the binding's own", self.rule.topic_header, "drop it")
        topic = self.prefix + ".".join(envelope.topic.split(".")[: self.tokens])
        key_text = envelope.headers.get(self.rule.key)
        key = None if key_text is None else _bytes(key_text)
        headers = [(name, _bytes(value)) for name, value in envelope.headers.items()]
        headers.append((self.rule.topic_header, _bytes(envelope.topic)))
        size = _size(key, envelope.payload, headers)
        if size > MESSAGE_BYTES:
            got = f"{size}, {len(envelope.payload)} of them payload"
            raise _refused(f"a record within {MESSAGE_BYTES} bytes", got, "use the pointer pattern")
        try:
            async with asyncio.timeout(ACCEPT_SECONDS), self.turn:
                stored = await self.producer.send(topic, envelope.payload, key=key, headers=headers)
        except (kafka_errors.KafkaError, TimeoutError) as error:
            raise _refused(
                f"the Kafka topic {topic}", type(error).__name__, "create it, see that the broker runs"
            ) from error
        stored.add_done_callback(_seen)
        with contextlib.suppress(TimeoutError, kafka_errors.KafkaError):
            async with asyncio.timeout(PUBLISH_SECONDS):
                await asyncio.shield(stored)
        if not stored.done():
            raise _unknown(f"no ack within {PUBLISH_SECONDS} s")
        failure = stored.exception()
        if isinstance(failure, REFUSALS):
            raise _refused("an accepted record", str(failure), "see the broker's words") from failure
        if failure is not None:
            raise _unknown(type(failure).__name__) from failure

    async def consume(self, subscription: Subscription) -> AsyncIterator[Incoming]:
        """Join a group from the oldest message on. Raises BrokerError where no such topic exists."""
        consumer = AIOKafkaConsumer(
            **self.options,
            group_id=self._group(subscription),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=FETCH_WAIT_MS,
            session_timeout_ms=int(SESSION_SECONDS * 1000),
            heartbeat_interval_ms=int(HEARTBEAT_SECONDS * 1000),
            metadata_max_age_ms=int(NEW_TOPICS_SECONDS * 1000),
        )
        wanted = self._topics(subscription.pattern)
        end = partial(end_consumer, consumer, CLOSE_SECONDS)
        try:
            async with ended_on_failure(end), asyncio.timeout(CONNECT_SECONDS):
                await consumer.start()
                if not any(map(wanted.fullmatch, await consumer.topics())):
                    raise BrokerError(
                        f"BROKER expected a Kafka topic for {subscription.pattern}, none matches "
                        f"{wanted.pattern!r}. Fix: create it"
                    )
        except (OSError, kafka_errors.KafkaError, TimeoutError) as error:
            raise BrokerError(
                f"BROKER expected Kafka to answer, got {type(error).__name__}. Fix: see that it runs"
            ) from error
        group = KafkaGroup(subscription.group, consumer, self.rule, self.prefix, subscription.pattern)
        consumer.subscribe(pattern=f"^{wanted.pattern}$", listener=group)
        self.groups.append(group)
        return group.messages()

    async def lag(self, group: str) -> int:
        """By what is settled and what is stored. Raises BrokerError where the broker does not tell."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return sum([await joined.lag() for joined in self.groups if joined.name == group])
        except (kafka_errors.KafkaError, TimeoutError) as error:
            raise BrokerError(
                f"BROKER expected the state of {group}, got {type(error).__name__}. Fix: see that it runs"
            ) from error

    def read(self, pattern: str, span: Span) -> AsyncIterator[Incoming]:
        """By offsets of the broker's time, partition by partition."""
        if self.producer is None:
            raise BrokerError("BROKER expected an open binding, got a closed one. Fix: start it")
        reader = KafkaReader(self.options, self._topics(pattern), self.producer)
        return reader.read(pattern, span, partial(envelope_of, rule=self.rule, prefix=self.prefix))

    def _group(self, subscription: Subscription) -> str:
        """The Kafka group id: the group's name, and what of a pattern is narrower than a Kafka topic.

        Members of one Kafka group share its partitions, so that one with another filter would pass over
        messages that are meant for its neighbour.
        """
        narrow = subscription.pattern.split(".")[self.tokens :]
        suffix = "" if narrow in ([], [">"]) else f":{'.'.join(narrow)}"
        return f"{self.prefix}{subscription.group}{suffix}"

    def _topics(self, pattern: str) -> re.Pattern[str]:
        """The Kafka topics that messages under a subscription pattern travel in."""
        signs = {"*": r"[^.]+", ">": r".+"}
        tokens = pattern.split(".")[: self.tokens]
        family = r"\.".join(signs.get(token, re.escape(token)) for token in tokens)
        return re.compile(re.escape(self.prefix) + family)

    async def close(self) -> None:
        """Commit what is done, leave the groups, send what is waiting, disconnect; all within deadlines."""
        groups, self.groups = self.groups, []
        await asyncio.gather(*(group.close(CLOSE_SECONDS) for group in groups))
        producer, self.producer = self.producer, None
        if producer is not None:
            await end_producer(producer, CLOSE_SECONDS)


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def _size(key: bytes | None, payload: bytes, headers: list[tuple[str, bytes]]) -> int:
    """The most bytes that a record can take in a batch of its own."""
    parts = len("".join([name for name, _ in headers]).encode()) + 2 * VARINT * len(headers)
    parts += sum([len(value) for _, value in headers])
    return BATCH_OVERHEAD + RECORD_OVERHEAD + len(key or b"") + len(payload) + parts


def _seen(stored: asyncio.Future[Any]) -> None:
    if not stored.cancelled():
        stored.exception()


def _refused(expected: str, got: str, fix: str) -> PublishError:
    return PublishError(f"PUBLISH expected {expected}, got {got}. Fix: {fix}", definite=True)


def _unknown(got: str) -> PublishError:
    return PublishError(
        f"PUBLISH expected an ack, got {got}: the message may be stored. "
        "Fix: publish again with the same message_id",
        definite=False,
    )
