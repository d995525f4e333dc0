"""What probes see of a message beside its envelope, and histories of what is on the wire (ENV-08)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import nats
import pytest
from aiokafka import AIOKafkaProducer

from ampybus_contract import Envelope, Headers
from ampybus_contract.bindings.kafka import KafkaTransport
from ampybus_contract.bindings.nats import NatsTransport
from ampybus_contract.brokers.kafka_address import KafkaAddress
from ampybus_contract.brokers.kafka_light import light_kafka_server
from ampybus_contract.brokers.kafka_stream import KafkaSource
from ampybus_contract.brokers.nats_server import nats_server
from ampybus_contract.brokers.nats_stream import NatsSource
from ampybus_contract.contract import default_contract
from ampybus_contract.harness import checkers
from ampybus_contract.harness.history import Event, Operation, Outcome
from ampybus_contract.harness.workload import Workload

CONTRACT = default_contract()
MADE = Workload(CONTRACT, 1)
A = MADE.envelope(MADE.keyed_domain())
B = MADE.envelope(MADE.keyed_domain(), 1)
ID = A.headers["message_id"]
KEBAB = A.headers.with_(**{"run_id": None, "run-id": A.headers["run_id"]})


@pytest.fixture(scope="module")
def on_nats() -> Iterator[NatsSource]:
    with nats_server() as server:
        yield NatsSource(server.url, CONTRACT.topic.prefix, "nats")


@pytest.fixture(scope="module")
def on_kafka() -> Iterator[KafkaSource]:
    with light_kafka_server() as server:
        yield KafkaSource(server.url, CONTRACT, "light")


@pytest.mark.parametrize(
    ("marker", "strange"),
    [(ID, False), (ID.upper(), False), (f"dlq.7.{ID}", False), (B.headers["message_id"], True), (None, True)],
)
@pytest.mark.server
def test_nats_messages_have_the_id_where_the_server_looks_for_it(
    on_nats: NatsSource, marker: str | None, strange: bool
) -> None:
    async def main() -> None:
        async with on_nats.stream() as (endpoint, probe):
            client = await nats.connect(endpoint.url)
            more = {} if marker is None else {CONTRACT.nats.deduplication_header: marker}
            await client.jetstream().publish(A.topic, A.payload, headers={**A.headers, **more})
            await client.close()
            assert await probe.stored() == [A]
            assert list(probe.unmapped) == ([0] if strange else [])

    on_nats.run(main())


@pytest.mark.parametrize(
    ("key", "names_topic", "family", "strange"),
    [
        (A.headers["partition_key"], True, "bars", False),
        (B.headers["partition_key"], True, "bars", True),
        (None, True, "bars", True),
        (A.headers["partition_key"], False, "bars", True),
        (A.headers["partition_key"], True, "fills", True),
    ],
)
@pytest.mark.kafka
def test_kafka_records_have_key_and_topic_as_the_contract_says(
    on_kafka: KafkaSource, key: str | None, names_topic: bool, family: str, strange: bool
) -> None:
    async def main() -> None:
        async with on_kafka.stream() as (endpoint, probe):
            producer = AIOKafkaProducer(**KafkaAddress.parse(endpoint.url, None).options("1.2"))
            await producer.start()
            named = {CONTRACT.kafka.topic_header: A.topic} if names_topic else {}
            await producer.send_and_wait(
                f"{endpoint.prefix}{CONTRACT.topic.prefix}.{MADE.env}.{family}.v1",
                A.payload,
                key=None if key is None else key.encode(),
                headers=[(name, value.encode()) for name, value in {**A.headers, **named}.items()],
            )
            await producer.stop()
            assert len(await probe.stored()) == 1
            assert list(probe.unmapped) == ([0] if strange else [])

    on_kafka.run(main())


@pytest.mark.parametrize(
    "kind", [pytest.param("nats", marks=pytest.mark.server), pytest.param("kafka", marks=pytest.mark.kafka)]
)
def test_what_the_reference_transports_store_is_not_strange(
    kind: str, request: pytest.FixtureRequest
) -> None:
    source = request.getfixturevalue(f"on_{kind}")

    async def main() -> None:
        async with source.stream() as (endpoint, probe), asyncio.timeout(30):
            transport = NatsTransport() if kind == "nats" else KafkaTransport()
            await transport.open(endpoint)
            await transport.send(A)
            await transport.send(B, "redrive.1.")
            await transport.close()
            assert len(await probe.stored()) == 2
            assert not probe.unmapped

    source.run(main())


def sent(envelope: Envelope) -> Event:
    return Event(0, "producer", Operation.PUBLISH, Outcome.OK, envelope)


def stored(envelope: Envelope, error: str = "") -> Event:
    return Event(0, "wire", Operation.STORE, Outcome.OK, envelope, error=error)


def test_what_was_published_may_be_on_the_wire() -> None:
    counted = replace(B, headers=B.headers.with_(retry_count="1"))
    assert not checkers.wire_differs([sent(A), sent(B), stored(A), stored(counted)], CONTRACT)


@pytest.mark.parametrize(
    ("wire", "words"),
    [
        ([], "Nothing"),
        ([B], "Nothing"),
        ([replace(A, headers=KEBAB)], "run-id, run_id"),
        (
            [replace(A, headers=A.headers.with_(**{"message_id": None, "message-id": ID}))],
            "message-id, message_id",
        ),
        ([replace(A, headers=Headers({**A.headers, "x_more": "1"}))], "x_more"),
        ([replace(A, topic=B.topic)], "topic"),
        ([replace(A, payload=A.payload + A.payload)], "payload"),
    ],
)
def test_what_else_is_on_the_wire_is_found(wire: list[Envelope], words: str) -> None:
    (found,) = checkers.wire_differs([sent(A), *map(stored, wire)], CONTRACT)
    assert words in found.sentence


def test_what_the_probe_found_strange_counts_for_what_the_binding_published() -> None:
    history = [
        Event(0, "producer", Operation.PUBLISH, Outcome.INVOKE, A),
        stored(A, "the key"),
        stored(B, "the key"),
    ]
    (found,) = checkers.mapped_otherwise(history, CONTRACT)
    assert found.events == (history[1],)
    assert "the key" in found.sentence


def test_a_key_on_one_partition_is_not_scattered() -> None:
    history = [stored(A), replace(stored(B), count=2), stored(A)]
    assert not checkers.key_scattered(history, CONTRACT)


def test_a_key_on_two_partitions_is_found() -> None:
    elsewhere = MADE.envelope(MADE.keyed_domain())
    history = [stored(A), stored(B), replace(stored(elsewhere), count=2)]
    (found,) = checkers.key_scattered(history, CONTRACT)
    assert found.events == (history[0], history[2])
