"""Users of a real Apache Kafka and what they may not do: refused at once, with the right that is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest

from ampybus_contract import Envelope
from ampybus_contract.bindings import kafka_trouble
from ampybus_contract.bindings.kafka import KafkaTransport
from ampybus_contract.bindings.protocol import Endpoint, Settlement, Subscription
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.brokers.kafka_distribution import why_not
from ampybus_contract.brokers.kafka_server import KafkaServer, kafka_server
from ampybus_contract.brokers.kafka_stream import KafkaProbe, KafkaSource
from ampybus_contract.contract import default_contract
from ampybus_contract.errors import BrokerError, PublishError
from ampybus_contract.harness.workload import Workload
from tests.bindings.test_kafka_bad_situations import heard

CONTRACT = default_contract()
SECONDS = 60.0
WHY_NOT = why_not()
pytestmark = [pytest.mark.kafka, pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))]
Scene = Callable[[str, KafkaProbe], Coroutine[Any, Any, None]]
USERS = ["writer", "reader", "sightless", "groupless", "mute", "late", "passing", "apart"]
PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"
KNOWN = " ".join(f'user_{name}="word"' for name in ["admin", *USERS])
SETTINGS = f"""listener.security.protocol.map=CLIENT:SASL_PLAINTEXT,LINK:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
sasl.enabled.mechanisms=PLAIN
sasl.mechanism.inter.broker.protocol=PLAIN
listener.name.client.plain.sasl.jaas.config={PLAIN} username="admin" password="word" {KNOWN};
listener.name.link.plain.sasl.jaas.config={PLAIN} {KNOWN};
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:admin;User:ANONYMOUS
"""
TOPIC, GROUP = 2, 3
READ, WRITE, DESCRIBE = 3, 4, 8
PREFIXED, ALLOW = 4, 3
WORKLOAD = Workload(CONTRACT, 7)


@pytest.fixture(scope="module")
def server() -> Iterator[KafkaServer]:
    with kafka_server(settings=SETTINGS) as running:
        yield running


def url(server: KafkaServer, user: str, password: str = "word") -> str:
    return server.url.replace("kafka://", f"kafka://{user}:{password}@")


def play(server: KafkaServer, scene: Scene) -> None:
    """Run a scene on topics of its own, with a deadline; it is given their prefix."""

    async def main() -> None:
        source = KafkaSource(url(server, "admin"), CONTRACT, "kafka")
        async with asyncio.timeout(SECONDS), source.stream() as (endpoint, probe):
            await scene(endpoint.prefix, probe)

    asyncio.run(main())


def bar() -> Envelope:
    return WORKLOAD.envelope(WORKLOAD.keyed_domain())


FAMILY = ".".join(bar().topic.split(".")[:4])
EVERYTHING = Subscription(f"{FAMILY}.>", "group")


async def allow(probe: KafkaProbe, user: str, kind: int, act: int, prefix: str) -> None:
    admin: AIOKafkaAdminClient = probe.topics.admin
    rule = CreateAclsRequest(kind, prefix, PREFIXED, f"User:{user}", "*", act, ALLOW)
    (answer,) = (await admin._send_request(rule)).creation_responses
    assert answer[0] == 0, answer


async def disallow(probe: KafkaProbe, user: str, kind: int, act: int, prefix: str) -> None:
    rule = DeleteAclsRequest(kind, prefix, PREFIXED, f"User:{user}", "*", act, ALLOW)
    (answer,) = (await probe.topics.admin._send_request(rule)).filter_responses
    assert len(answer[2]) == 1, answer


async def opened(server: KafkaServer, user: str, prefix: str) -> ReferenceBinding:
    binding = ReferenceBinding(KafkaTransport(), CONTRACT)
    await binding.start(Endpoint(url(server, user), prefix=prefix))
    return binding


async def apply(_envelope: Envelope) -> Settlement:
    return Settlement.OK


def test_a_wrong_password_is_named_as_something_to_look_at(server: KafkaServer) -> None:
    async def main() -> None:
        async with asyncio.timeout(SECONDS):
            binding = ReferenceBinding(KafkaTransport(), CONTRACT)
            with pytest.raises(BrokerError, match=r"Fix: .* user and password"):
                await binding.start(Endpoint(url(server, "reader", "another")))

    asyncio.run(main())


@pytest.mark.parametrize("sees", [True, False])
def test_publishing_without_write_is_definite_and_names_the_right(server: KafkaServer, sees: bool) -> None:
    async def scene(prefix: str, probe: KafkaProbe) -> None:
        await allow(probe, "writer", TOPIC, WRITE, "elsewhere")
        if sees:
            await allow(probe, "writer", TOPIC, DESCRIBE, prefix)
        binding = await opened(server, "writer", prefix)
        for _ in range(2):
            with pytest.raises(PublishError, match=rf"--operation Write --topic {prefix}{FAMILY}") as caught:
                await binding.publish(bar())
            assert caught.value.definite
        await allow(probe, "writer", TOPIC, WRITE, prefix)
        await binding.publish(bar())
        assert len(await probe.stored()) == 1
        await binding.stop()

    play(server, scene)


def test_who_may_write_nowhere_reads_and_writes_as_soon_as_it_may(server: KafkaServer) -> None:
    async def scene(prefix: str, probe: KafkaProbe) -> None:
        await allow(probe, "reader", TOPIC, READ, prefix)
        await allow(probe, "reader", GROUP, READ, prefix)
        binding = await opened(server, "reader", prefix)
        got: asyncio.Queue[Envelope] = asyncio.Queue()

        async def handle(envelope: Envelope) -> Settlement:
            got.put_nowait(envelope)
            return Settlement.OK

        await binding.subscribe(EVERYTHING, handle)
        first, second = bar(), bar()
        await probe.inject(first)
        assert await got.get() == first
        with pytest.raises(PublishError, match="--operation Write --topic") as caught:
            await binding.publish(second)
        assert caught.value.definite
        await allow(probe, "reader", TOPIC, WRITE, prefix)
        await binding.publish(second)
        assert await got.get() == second
        await binding.stop()

    play(server, scene)


@pytest.mark.parametrize(
    ("user", "rights", "words"),
    [
        (
            "sightless",
            [(GROUP, READ)],
            "none that the user may see .*Fix: create it, or let the user Read it",
        ),
        ("groupless", [(TOPIC, READ)], r"Kafka group .*group, got a refusal.*--operation Read --group"),
        ("mute", [(TOPIC, DESCRIBE), (GROUP, READ)], r"Kafka topic .*bars.*--operation Read --topic"),
        ("late", [(TOPIC, READ), (GROUP, DESCRIBE)], r"Kafka group .*group, got a refusal.*--operation Read"),
    ],
)
def test_subscribing_without_a_right_is_an_error_that_names_it(
    server: KafkaServer, user: str, rights: list[tuple[int, int]], words: str
) -> None:
    async def scene(prefix: str, probe: KafkaProbe) -> None:
        await allow(probe, user, TOPIC, WRITE, "elsewhere")
        for kind, act in rights:
            await allow(probe, user, kind, act, prefix)
        binding = await opened(server, user, prefix)
        with pytest.raises(BrokerError, match=words):
            await binding.subscribe(EVERYTHING, apply)
        await binding.stop()

    play(server, scene)


@pytest.mark.parametrize(
    ("kind", "words"),
    [(TOPIC, "Fix: let the user Read the topic"), (GROUP, "Fix: let the user Read the group")],
)
def test_a_right_that_is_taken_away_is_logged_once_and_nothing_is_lost(
    server: KafkaServer, kind: int, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene(prefix: str, probe: KafkaProbe) -> None:
        for right in (TOPIC, GROUP):
            await allow(probe, "passing", right, READ, prefix)
        await allow(probe, "passing", TOPIC, DESCRIBE, prefix)
        binding = await opened(server, "passing", prefix)
        got: asyncio.Queue[Envelope] = asyncio.Queue()

        async def handle(envelope: Envelope) -> Settlement:
            got.put_nowait(envelope)
            return Settlement.OK

        await binding.subscribe(EVERYTHING, handle)
        first, second = bar(), bar()
        await probe.inject(first)
        assert await got.get() == first
        with heard(kafka_trouble.__name__, words) as told:
            await disallow(probe, "passing", kind, READ, prefix)
            await probe.inject(second)
            await told.wait()
        await allow(probe, "passing", kind, READ, prefix)
        if kind == TOPIC:
            assert await got.get() == second
        while await probe.backlog():
            await asyncio.sleep(0.1)
        await binding.stop()

    play(server, scene)
    acts = [item.partition(", got")[0] for item in caplog.messages if words in item]
    assert len(set(acts)) == len(acts)


def test_following_needs_no_right_of_a_group_and_waits_for_that_of_the_topic(
    server: KafkaServer, tmp_path: Path
) -> None:
    async def scene(prefix: str, probe: KafkaProbe) -> None:
        await allow(probe, "apart", TOPIC, READ, prefix)
        await allow(probe, "apart", TOPIC, DESCRIBE, prefix)
        binding = ReferenceBinding(KafkaTransport(), CONTRACT)
        await binding.start(Endpoint(url(server, "apart"), prefix=prefix, state=tmp_path))
        got: asyncio.Queue[Envelope] = asyncio.Queue()

        async def handle(envelope: Envelope) -> Settlement:
            got.put_nowait(envelope)
            return Settlement.OK

        await binding.resume(EVERYTHING, handle)
        first, second = bar(), bar()
        await probe.inject(first)
        assert await got.get() == first
        with heard(kafka_trouble.__name__, "Fix: let the user Read the topic") as told:
            await disallow(probe, "apart", TOPIC, READ, prefix)
            await probe.inject(second)
            await told.wait()
        await allow(probe, "apart", TOPIC, READ, prefix)
        assert await got.get() == second
        await binding.stop()

    play(server, scene)
