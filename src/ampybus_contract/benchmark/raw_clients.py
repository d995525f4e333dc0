"""What the bindings are measured against: nats-py and aiokafka alone, used in the fastest way they offer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import nats
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig

from ampybus_contract.benchmark.pace import Pace
from ampybus_contract.brokers.endpoint import Endpoint
from ampybus_contract.brokers.kafka_address import KafkaAddress
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope

FETCH = 256
FETCH_SECONDS = 5.0
KAFKA_BYTES = 1_048_576
KAFKA_BATCH_BYTES = 131_072
KAFKA_WAIT_MS = 100


class RawClient(Protocol):
    """A client without the contract: it checks nothing, orders nothing, and remembers nothing."""

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Send the bytes that the binding would send, all at once, and wait for every ack."""

    async def consume(self, pattern: str, pace: Pace) -> None:
        """Fetch and acknowledge messages batch by batch, in any order of keys, until the last came."""


class RawNats:
    """``publish_async``, and a durable pull consumer."""

    def __init__(self, contract: Contract, jetstream: JetStreamContext, stream: str) -> None:
        self.rule = contract.nats
        self.jetstream = jetstream
        self.stream = stream

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """With the header by which the server drops duplicates, as the contract has it."""
        acks = []
        for envelope in envelopes:
            headers = dict(envelope.headers.plain)
            headers[self.rule.deduplication_header] = headers[self.rule.deduplication_value]
            acks.append(await self.jetstream.publish_async(envelope.topic, envelope.payload, headers=headers))
        for ack in acks:
            await ack

    async def consume(self, pattern: str, pace: Pace) -> None:
        """One ack a message, which nobody waits for."""
        pulled = await self.jetstream.pull_subscribe(
            pattern,
            durable="raw",
            stream=self.stream,
            config=ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, max_ack_pending=4 * FETCH),
        )
        while pace.left > 0:
            messages = await pulled.fetch(min(FETCH, pace.left), timeout=FETCH_SECONDS)
            pace.came(len(messages))
            for message in messages:
                await message.ack()
        await pulled.unsubscribe()
        await self.jetstream.delete_consumer(self.stream, "raw")


class RawKafka:
    """``send`` of an idempotent producer with ``acks=all``, and ``getmany`` with a commit a batch."""

    def __init__(self, contract: Contract, producer: AIOKafkaProducer, endpoint: Endpoint) -> None:
        self.rule = contract.kafka
        self.tls_minimum = contract.security.tls_minimum
        self.producer = producer
        self.endpoint = endpoint

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """With the header that carries the whole topic, as the contract has it."""
        tokens = len(self.rule.topic.split("."))
        acks = []
        for envelope in envelopes:
            headers = [(name, value.encode()) for name, value in envelope.headers.plain.items()]
            headers.append((self.rule.topic_header, envelope.topic.encode()))
            topic = self.endpoint.prefix + ".".join(envelope.topic.split(".")[:tokens])
            key = envelope.headers[self.rule.key].encode()
            acks.append(await self.producer.send(topic, envelope.payload, key=key, headers=headers))
        for ack in acks:
            await ack

    async def consume(self, pattern: str, pace: Pace) -> None:
        """All partitions of the one Kafka topic that the pattern names."""
        tokens = len(self.rule.topic.split("."))
        consumer = AIOKafkaConsumer(
            self.endpoint.prefix + ".".join(pattern.split(".")[:tokens]),
            **KafkaAddress.parse(self.endpoint.url).options(self.tls_minimum),
            group_id=f"{self.endpoint.prefix}raw",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=KAFKA_WAIT_MS,
        )
        await consumer.start()
        try:
            async with asyncio.timeout(FETCH_SECONDS + pace.left / 100):
                while pace.left > 0:
                    batches = await consumer.getmany(timeout_ms=1000, max_records=FETCH)
                    if batches:
                        pace.came(sum(map(len, batches.values())))
                        await consumer.commit()
        finally:
            await consumer.stop()


@asynccontextmanager
async def raw_nats(contract: Contract, endpoint: Endpoint) -> AsyncIterator[RawClient]:
    """A connected nats-py client."""
    client = await nats.connect(endpoint.url)
    try:
        yield RawNats(contract, client.jetstream(), endpoint.stream)
    finally:
        await client.close()


@asynccontextmanager
async def raw_kafka(contract: Contract, endpoint: Endpoint) -> AsyncIterator[RawClient]:
    """A started aiokafka producer."""
    producer = AIOKafkaProducer(
        **KafkaAddress.parse(endpoint.url).options(contract.security.tls_minimum),
        acks="all",
        enable_idempotence=True,
        max_request_size=KAFKA_BYTES,
        max_batch_size=KAFKA_BATCH_BYTES,
    )
    await producer.start()
    try:
        yield RawKafka(contract, producer, endpoint)
    finally:
        await producer.stop()
