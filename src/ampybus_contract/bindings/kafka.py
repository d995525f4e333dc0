"""The Kafka transport (contract section 15.2, D30)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka import errors as kafka_errors

from ampybus_contract.bindings import kafka_batches
from ampybus_contract.bindings.kafka_batches import NoAckError, NotTakenError, Record
from ampybus_contract.bindings.kafka_ends import end_consumer, ended_on_failure
from ampybus_contract.bindings.kafka_follow import KafkaFollower
from ampybus_contract.bindings.kafka_group import KafkaGroup, envelope_of
from ampybus_contract.bindings.kafka_permissions import see_readable
from ampybus_contract.bindings.kafka_producer import KafkaProducer
from ampybus_contract.bindings.kafka_reader import KafkaReader
from ampybus_contract.bindings.kafka_refusals import REFUSALS, refusal
from ampybus_contract.bindings.kafka_topics import visible_topics
from ampybus_contract.bindings.protocol import Endpoint, Subscription
from ampybus_contract.bindings.transport import Incoming, Span
from ampybus_contract.brokers.kafka_address import KafkaAddress
from ampybus_contract.contract import default_contract
from ampybus_contract.contract.chapters import KafkaMapping
from ampybus_contract.envelope import Envelope
from ampybus_contract.errors import BrokerError, PublishError

CONNECT_SECONDS = 10.0
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
SURELY_FITS = MESSAGE_BYTES // 32
PLACES_KEPT = 16_384

Header = tuple[str, bytes]


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
        self.producer: KafkaProducer | None = None
        self.groups: list[KafkaGroup] = []
        self.followers: list[KafkaFollower] = []
        self.places: dict[str, tuple[str, Header]] = {}
        self.options: dict[str, Any] = {}
        self.prefix = ""

    async def open(self, endpoint: Endpoint) -> None:
        """Connect. Raises BrokerError where no broker answers within ``CONNECT_SECONDS``."""
        self.options = KafkaAddress.parse(endpoint.url, endpoint.tls).options(self.tls_minimum)
        self.prefix = endpoint.prefix
        self.places.clear()
        producer = KafkaProducer(
            **self.options,
            acks="all",
            enable_idempotence=True,
            max_request_size=MESSAGE_BYTES,
            max_batch_size=BATCH_BYTES,
            request_timeout_ms=int(kafka_batches.ACK_SECONDS * 1000),
        )
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await producer.start()
        except (OSError, kafka_errors.KafkaError, TimeoutError) as error:
            raise BrokerError(
                f"BROKER expected a Kafka broker, got {type(error).__name__}. Fix: see that it runs, the "
                "address it advertises, user and password, and with TLS the certificates"
            ) from error
        self.producer = producer

    async def send(self, envelope: Envelope, act: str = "") -> None:
        """Store and wait for the ack. Raises PublishError: indefinite on a timeout, definite on a refusal."""
        if self.producer is None:
            raise _refused("an open binding", "a closed one", "start it")
        place = self.places.get(envelope.topic)
        if place is None:
            place = self._place(envelope.topic)
        topic, header = place
        try:
            await self.producer.send(topic, self._record(envelope, header))
        except NotTakenError as error:
            if isinstance(error.reason, REFUSALS):
                raise refusal(error.reason, topic, MESSAGE_BYTES) from error
            raise _refused(
                f"the Kafka topic {topic}", type(error.reason).__name__, "create it, see that the broker runs"
            ) from error
        except NoAckError as error:
            if isinstance(error.reason, REFUSALS):
                raise refusal(error.reason, topic, MESSAGE_BYTES) from error
            raise _unknown(
                f"no ack within {kafka_batches.ACK_SECONDS} s"
                if error.reason is None
                else type(error.reason).__name__
            ) from error

    def _place(self, text: str) -> tuple[str, Header]:
        """The Kafka topic of a topic, and the header that holds the topic; both are kept."""
        topic = self.prefix + ".".join(text.split(".")[: self.tokens])
        if len(self.places) >= PLACES_KEPT:
            self.places.clear()
        self.places[text] = place = topic, (self.rule.topic_header, _bytes(text))
        return place

    def _record(self, envelope: Envelope, topic_header: Header) -> Record:
        """What is stored. Raises PublishError, definite, where it is too large or has the topic's header."""
        plain, payload = envelope.headers.plain, envelope.payload
        if self.rule.topic_header in plain:
            raise _refused("no header of the binding's own", self.rule.topic_header, "drop it")
        key_text = plain.get(self.rule.key)
        try:
            headers = [(name, value.encode()) for name, value in plain.items()]
            key = None if key_text is None else key_text.encode()
        except UnicodeEncodeError:
            headers = [(name, _bytes(value)) for name, value in plain.items()]
            key = None if key_text is None else _bytes(key_text)
        headers.append(topic_header)
        if len(payload) + sum(map(len, plain)) + sum(map(len, plain.values())) > SURELY_FITS:
            size = _size(key, payload, headers)
            if size > MESSAGE_BYTES:
                got = f"{size}, {len(payload)} of them payload"
                raise _refused(f"a record within {MESSAGE_BYTES} bytes", got, "use the pointer pattern")
        return Record(key, payload, headers)

    async def consume(self, subscription: Subscription) -> AsyncIterator[Incoming]:
        """Join a group from the oldest message on.

        Raises BrokerError where no such topic exists, or the user may not read it or the group.
        """
        name = self._group(subscription)
        consumer = AIOKafkaConsumer(
            **self.options,
            group_id=name,
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
                topics = list(filter(wanted.fullmatch, await visible_topics(consumer._client)))
                if not topics:
                    raise BrokerError(
                        f"BROKER expected a Kafka topic for {subscription.pattern}, none that the user may "
                        f"see matches {wanted.pattern!r}. Fix: create it, or let the user Read it"
                    )
                await see_readable(consumer._client, name, topics)
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

    async def leave(self, group: str) -> None:
        """Commit what is settled, and leave: the others, or the next one, begin with what is not."""
        leaving = [joined for joined in self.groups if joined.name == group]
        self.groups = [joined for joined in self.groups if joined.name != group]
        await asyncio.gather(*(joined.close(CLOSE_SECONDS) for joined in leaving))

    def read(self, pattern: str, span: Span) -> AsyncIterator[Incoming]:
        """By offsets of the broker's time, partition by partition."""
        if self.producer is None or self.producer.current is None:
            raise BrokerError("BROKER expected an open binding, got a closed one. Fix: start it")
        reader = KafkaReader(self.options, self._topics(pattern), self.producer.current)
        return reader.read(pattern, span, partial(envelope_of, rule=self.rule, prefix=self.prefix))

    def follow(self, pattern: str, after: Mapping[str, int]) -> AsyncIterator[Incoming]:
        """By offset in each partition, which is a part; nothing of it is told to the broker."""
        named = partial(envelope_of, rule=self.rule, prefix=self.prefix)
        follower = KafkaFollower(self.options, self._topics(pattern), pattern, after, named)
        self.followers.append(follower)
        return follower.messages()

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
        followers, self.followers = self.followers, []
        await asyncio.gather(
            *(group.close(CLOSE_SECONDS) for group in groups), *(follower.close() for follower in followers)
        )
        producer, self.producer = self.producer, None
        if producer is not None:
            await producer.end(CLOSE_SECONDS)


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def _size(key: bytes | None, payload: bytes, headers: list[tuple[str, bytes]]) -> int:
    """The most bytes that a record can take in a batch of its own."""
    parts = len("".join([name for name, _ in headers]).encode()) + 2 * VARINT * len(headers)
    parts += sum([len(value) for _, value in headers])
    return BATCH_OVERHEAD + RECORD_OVERHEAD + len(key or b"") + len(payload) + parts


def _refused(expected: str, got: str, fix: str) -> PublishError:
    return PublishError(f"PUBLISH expected {expected}, got {got}. Fix: {fix}", definite=True)


def _unknown(got: str) -> PublishError:
    return PublishError(
        f"PUBLISH expected an ack, got {got}: the message may be stored. "
        "Fix: publish again with the same message_id; see that the broker runs and its disk has room",
        definite=False,
    )
