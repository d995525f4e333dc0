"""The memory transport: the in-process broker as the reference binding sees it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from ampybus_contract.bindings.protocol import Endpoint, Subscription
from ampybus_contract.bindings.transport import Incoming, Position, Span, nothing
from ampybus_contract.brokers.memory import MemoryBroker, MemoryConsumer
from ampybus_contract.envelope import Envelope
from ampybus_contract.envelope.pattern import matches
from ampybus_contract.errors import BrokerError, PublishError

PUBLISH_SECONDS = 2.0
WHOLE = ""


class MemoryTransport:
    """Speaks to the MemoryBroker that the endpoint carries."""

    def __init__(self) -> None:
        self.broker: MemoryBroker | None = None

    async def open(self, endpoint: Endpoint) -> None:
        """Take the broker. Raises BrokerError where the endpoint carries none."""
        if not isinstance(endpoint.native, MemoryBroker):
            raise BrokerError(
                f"BROKER expected the memory broker, got {endpoint.shown_url}. "
                "Fix: run the memory binding with --ampybus-broker memory"
            )
        self.broker = endpoint.native

    async def send(self, envelope: Envelope, act: str = "") -> None:
        """Store. Raises PublishError once closed."""
        if self.broker is None:
            raise PublishError(
                "PUBLISH expected an open binding, got a closed one. Fix: start it", definite=True
            )
        try:
            identity = act + envelope.headers.get("message_id", "").lower()
            answered = await self.broker.store(envelope, identity)
        except BrokerError as error:
            raise PublishError(
                f"PUBLISH expected a broker that takes it, got: {error}", definite=True
            ) from error
        if not answered:
            await asyncio.sleep(PUBLISH_SECONDS)
            raise PublishError(
                f"PUBLISH expected an ack within {PUBLISH_SECONDS} s, got none: the message may be stored. "
                "Fix: publish again with the same message_id",
                definite=False,
            )

    async def consume(self, subscription: Subscription) -> AsyncIterator[Incoming]:
        """Attach to a group."""
        if self.broker is None:
            raise BrokerError("BROKER expected an open binding, got a closed one. Fix: start it")
        return _messages(self.broker.consumer(subscription.group, subscription.pattern))

    async def read(self, pattern: str, span: Span) -> AsyncIterator[Incoming]:
        """From the list of what is stored, by the simulated time of storing."""
        if self.broker is None:
            raise BrokerError("BROKER expected an open binding, got a closed one. Fix: start it")
        for position, (at, envelope) in enumerate(
            zip(list(self.broker.times), self.broker.stored, strict=False)
        ):
            late_enough = span.start is None or span.start <= at
            if late_enough and (span.end is None or at <= span.end) and matches(pattern, envelope.topic):
                yield Incoming(position, envelope, nothing)

    async def follow(self, pattern: str, after: Mapping[str, int]) -> AsyncIterator[Incoming]:
        """From the list of what is stored, which is one part."""
        if self.broker is None:
            raise BrokerError("BROKER expected an open binding, got a closed one. Fix: start it")
        broker, position = self.broker, after.get(WHOLE, -1) + 1
        while True:
            while position < len(broker.stored):
                if matches(pattern, broker.stored[position].topic):
                    yield Incoming(Position(WHOLE, position), broker.stored[position], nothing)
                position += 1
            await broker.grown.wait()

    async def lag(self, group: str) -> int:
        """Waiting and handed out."""
        consumer = self.broker.consumers.get(group) if self.broker else None
        return len(consumer.waiting) + len(consumer.pending) if consumer else 0

    async def close(self) -> None:
        """Let the broker go."""
        if self.broker is not None:
            self.broker.leave()
        self.broker = None


async def _messages(consumer: MemoryConsumer) -> AsyncIterator[Incoming]:
    while True:
        position, envelope = await consumer.take()

        async def ack(position: int = position) -> None:
            consumer.ack(position)

        yield Incoming(position, envelope, ack, behind=len(consumer.waiting))
