"""Memory, NATS and Kafka deliver the same envelope, header for header and byte for byte (D31)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ampybus_contract import Envelope
from ampybus_contract.bindings.kafka import KafkaTransport
from ampybus_contract.bindings.memory import MemoryTransport
from ampybus_contract.bindings.nats import NatsTransport
from ampybus_contract.bindings.protocol import Subscription
from ampybus_contract.bindings.transport import Transport
from ampybus_contract.brokers.kafka_distribution import why_not
from ampybus_contract.brokers.kafka_light import light_kafka_server
from ampybus_contract.brokers.kafka_source import embedded_kafka
from ampybus_contract.brokers.kafka_stream import KafkaSource
from ampybus_contract.brokers.memory import MemorySource
from ampybus_contract.brokers.nats_server import nats_server
from ampybus_contract.brokers.nats_stream import NatsSource
from ampybus_contract.brokers.protocol import Broker
from ampybus_contract.contract import default_contract
from ampybus_contract.envelope import read_fixture

CONTRACT = default_contract()
SECONDS = 30.0
Target = tuple[Broker, type[Transport]]


@pytest.fixture(
    params=[
        "memory",
        pytest.param("nats", marks=pytest.mark.server),
        pytest.param("kafka", marks=pytest.mark.kafka),
        pytest.param("kafka-light", marks=pytest.mark.kafka),
    ]
)
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    if request.param == "memory":
        yield MemorySource(), MemoryTransport
    elif request.param == "nats":
        with nats_server() as server:
            yield NatsSource(server.url, CONTRACT.topic.prefix, "nats"), NatsTransport
    elif request.param == "kafka":
        reason = why_not()
        if reason is not None:
            pytest.skip(reason)
        with embedded_kafka(CONTRACT) as source:
            yield source, KafkaTransport
    else:
        with light_kafka_server() as light:
            yield KafkaSource(light.url, CONTRACT, "light"), KafkaTransport


async def carry(target: Target, envelopes: list[Envelope]) -> list[Envelope]:
    """Send through one end of a transport and take from the other, before any rule of delivery."""
    broker, transport = target
    taken: list[Envelope] = []
    async with broker.stream() as (endpoint, _), asyncio.timeout(SECONDS):
        sender, receiver = transport(), transport()
        await sender.open(endpoint)
        await receiver.open(endpoint)
        messages = await receiver.consume(Subscription(f"{CONTRACT.topic.prefix}.>", "all"))
        for envelope in envelopes:
            await sender.send(envelope)
        while len(taken) < len(envelopes):
            incoming = await anext(messages)
            taken.append(incoming.envelope)
            await incoming.ack()
        await receiver.close()
        await sender.close()
    return taken


def test_every_golden_arrives_as_it_was_sent(target: Target, golden: Path) -> None:
    paths = sorted(golden.glob("*/valid/*.json"))
    sent = [read_fixture(json.loads(path.read_text())).envelope for path in paths]
    unknown = [
        Envelope(item.topic, item.headers.with_(x_note="größer ≥ 1", x_empty=""), item.payload)
        for item in sent
    ]
    by_id = {item.headers["message_id"]: item for item in unknown}
    arrived = target[0].run(carry(target, unknown))
    assert len(arrived) == len(by_id)
    assert {item.headers["message_id"]: item for item in arrived} == by_id
