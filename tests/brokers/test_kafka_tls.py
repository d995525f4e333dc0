"""TLS on a real Apache Kafka: an envelope crosses, and who has no certificate does not get in."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from ampybus_contract import Envelope
from ampybus_contract.bindings.kafka import KafkaTransport
from ampybus_contract.bindings.protocol import Endpoint, Subscription
from ampybus_contract.brokers.intermediary import Disguise, intermediary
from ampybus_contract.brokers.kafka_distribution import why_not
from ampybus_contract.brokers.kafka_source import embedded_kafka
from ampybus_contract.brokers.kafka_stream import KafkaSource
from ampybus_contract.brokers.location import elsewhere
from ampybus_contract.contract import default_contract
from ampybus_contract.errors import BrokerError

CONTRACT = default_contract()
MINIMUM = CONTRACT.security.tls_minimum
DEADLINE_SECONDS = 60.0
WHY_NOT = why_not()
pytestmark = [pytest.mark.kafka, pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))]


@pytest.fixture(scope="module")
def kafka() -> Iterator[KafkaSource]:
    with embedded_kafka(CONTRACT, tls=True) as source:
        assert isinstance(source, KafkaSource)
        yield source


async def connect(place: Endpoint) -> None:
    """Connect and disconnect; raises what the binding raises."""
    transport = KafkaTransport()
    async with asyncio.timeout(DEADLINE_SECONDS):
        try:
            await transport.open(place)
        finally:
            await transport.close()


def test_an_envelope_crosses_by_tls(kafka: KafkaSource, bars: Envelope) -> None:
    assert {"tls", "mtls"} <= kafka.levers
    assert kafka.settings["client certificate"] == "required"

    async def main() -> None:
        async with asyncio.timeout(DEADLINE_SECONDS), kafka.stream() as (place, probe):
            transport = KafkaTransport()
            await transport.open(place)
            await transport.send(bars)
            incoming = await anext(await transport.consume(Subscription(bars.topic, "group")))
            assert incoming.envelope == bars
            assert await probe.stored() == [bars]
            await transport.close()

    asyncio.run(main())


def test_without_a_certificate_or_its_authority_or_tls_nobody_gets_in(kafka: KafkaSource) -> None:
    files = kafka.address.tls
    assert files is not None
    bare = Endpoint(kafka.url, tls=replace(files, certificate=None))
    plain = Endpoint(kafka.url.replace("kafkas://", "kafka://"))
    for place in (bare, Endpoint(kafka.url), plain):
        with pytest.raises(BrokerError, match="certificates"):
            asyncio.run(connect(place))


@pytest.mark.parametrize("disguise", list(Disguise))
def test_only_a_right_server_reads_what_the_client_says(disguise: Disguise, kafka: KafkaSource) -> None:
    place = Endpoint(kafka.url, tls=kafka.address.tls)

    async def main() -> tuple[bool, int]:
        async with intermediary(place, MINIMUM, disguise) as between:
            try:
                await connect(replace(place, url=elsewhere(place.url, between.place), tls=between.files))
            except BrokerError:
                return False, between.read_bytes
            return True, between.read_bytes

    trusted, read = asyncio.run(main())
    assert (trusted, read > 0) == (disguise is Disguise.NONE, disguise is Disguise.NONE)


def test_a_light_server_is_no_answer_to_a_wish_for_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ampybus_contract.brokers.kafka_source.why_not", lambda: "BROKER expected Java")
    with pytest.raises(BrokerError, match="plain text only"), embedded_kafka(CONTRACT, tls=True):
        pass
