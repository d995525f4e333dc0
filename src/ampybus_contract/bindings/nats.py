"""The NATS JetStream transport (contract section 15.1, D29)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import nats
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig

from ampybus_contract.bindings.protocol import Endpoint, Subscription
from ampybus_contract.bindings.transport import Incoming
from ampybus_contract.contract import Contract, default_contract
from ampybus_contract.envelope import Envelope, Headers
from ampybus_contract.errors import BrokerError, PublishError

BATCH = 64
FETCH_SECONDS = 1.0
CONNECT_SECONDS = 5.0
RECONNECTS = 60
PUBLISH_SECONDS = 2.0
ACK_WAIT_SECONDS = 30.0


class NatsTransport:
    """Subject = topic, headers = NATS headers, deduplication by the contract's mapping."""

    def __init__(self, contract: Contract | None = None) -> None:
        self.contract = contract or default_contract()
        self.client: Client | None = None
        self.stream = ""

    @property
    def _jetstream(self) -> JetStreamContext:
        if self.client is None:
            raise BrokerError("BROKER expected an open binding, got a closed one. Fix: start it")
        return self.client.jetstream(timeout=PUBLISH_SECONDS)

    async def open(self, endpoint: Endpoint) -> None:
        """Connect. Raises BrokerError where no server answers."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                self.client = await nats.connect(endpoint.url, max_reconnect_attempts=RECONNECTS)
        except (OSError, nats.errors.Error, TimeoutError) as error:
            raise BrokerError(
                f"BROKER expected a NATS server, got {type(error).__name__}. Fix: start nats-server -js"
            ) from error
        self.stream = endpoint.stream

    async def send(self, envelope: Envelope, act: str = "") -> None:
        """Store and wait for the ack. Raises PublishError: indefinite on a timeout, definite on a refusal."""
        jetstream = self._jetstream
        headers = dict(envelope.headers)
        rule = self.contract.nats
        if rule.deduplication_value in headers:
            headers[rule.deduplication_header] = act + headers[rule.deduplication_value].lower()
        self._refuse(headers, envelope)
        try:
            await jetstream.publish(envelope.topic, envelope.payload, headers=headers)
        except nats.js.errors.NoStreamResponseError as error:
            raise _refused(
                "a stream that covers the topic", "no answer", "create it, start the server with -js"
            ) from error
        except (nats.errors.BadSubjectError, nats.errors.MaxPayloadError, nats.js.errors.APIError) as error:
            raise _refused("an accepted message", str(error), "see the server's words") from error
        except (nats.errors.Error, TimeoutError) as error:
            raise PublishError(
                f"PUBLISH expected an ack within {PUBLISH_SECONDS} s, got {type(error).__name__}: "
                "the message may be stored. Fix: publish again with the same message_id",
                definite=False,
            ) from error

    def _refuse(self, headers: dict[str, str], envelope: Envelope) -> None:
        """Refuse what NATS would change or cut the connection for."""
        for name, value in headers.items():
            if value != value.strip() or not name or re.search(r"[\s:]", name):
                raise _refused("a header that NATS keeps as it is", f"{name!r}: {value!r}", "strip it")
        block = len("NATS/1.0\r\n\r\n") + sum(
            len(f"{name}: {value}\r\n".encode()) for name, value in headers.items()
        )
        limit = self.client.max_payload if self.client else 0
        if block + len(envelope.payload) > limit:
            got = f"{block} + {len(envelope.payload)} bytes"
            raise _refused(f"headers and payload within {limit} bytes", got, "use the pointer pattern")

    async def consume(self, subscription: Subscription) -> AsyncIterator[Incoming]:
        """Attach a durable pull consumer."""
        durable = re.sub(r"[^A-Za-z0-9_-]", "_", f"{self.stream}_{subscription.group}")
        try:
            pulled = await self._jetstream.pull_subscribe(
                subscription.pattern,
                durable=durable,
                stream=self.stream,
                config=ConsumerConfig(
                    ack_policy=AckPolicy.EXPLICIT, ack_wait=ACK_WAIT_SECONDS, max_ack_pending=4096
                ),
            )
        except (nats.errors.Error, TimeoutError) as error:
            raise BrokerError(
                f"BROKER expected the stream {self.stream}, got {error}. Fix: create it, start with -js"
            ) from error
        return _messages(pulled, self.contract.nats.deduplication_header)

    async def close(self) -> None:
        """Disconnect."""
        client, self.client = self.client, None
        if client is not None:
            await client.close()


async def _messages(pulled: JetStreamContext.PullSubscription, added: str) -> AsyncIterator[Incoming]:
    while True:
        try:
            batch = await pulled.fetch(BATCH, timeout=FETCH_SECONDS)
        except (TimeoutError, nats.errors.TimeoutError):
            continue
        for message in batch:
            headers = {name: str(value) for name, value in (message.headers or {}).items() if name != added}
            position = message.metadata.sequence.stream
            envelope = Envelope(message.subject, Headers(headers), message.data)
            yield Incoming(position, envelope, message.ack, behind=message.metadata.num_pending)


def _refused(expected: str, got: str, fix: str) -> PublishError:
    return PublishError(f"PUBLISH expected {expected}, got {got}. Fix: {fix}", definite=True)
