"""The Kafka brokers that a run can ask for, with what each can and cannot do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from ampybus_contract.brokers import kafka_light
from ampybus_contract.brokers.kafka_distribution import why_not
from ampybus_contract.brokers.kafka_light import light_command, light_kafka_server
from ampybus_contract.brokers.kafka_server import kafka_server
from ampybus_contract.brokers.kafka_stream import KafkaSource
from ampybus_contract.brokers.location import Location
from ampybus_contract.brokers.protocol import Broker
from ampybus_contract.contract import Contract
from ampybus_contract.errors import BrokerError

if TYPE_CHECKING:
    from ampybus_contract.brokers.container import ContainerServer

EMBEDDED = frozenset({"groups", "member_expiry", "old_timestamps", "restart", "pause", "proxy"})
EMBEDDED_GAPS = {
    "tls": "this server speaks plain text; embedded:kafka-tls does not",
    "acl": "the embedded server has no users",
    "replicas": "the embedded server is a single node",
}
GIVEN = frozenset({"groups", "member_expiry"})
GIVEN_GAPS = {
    "old_timestamps": "the retention of a given cluster is not known",
    "tls": "it was reached by plain text; kafkas:// URLs are not",
    "mtls": "it lets clients in that have no certificate",
}


@contextmanager
def embedded_kafka(contract: Contract, light: bool = False, tls: bool = False) -> Iterator[Broker]:
    """A Kafka of the run's own: Apache Kafka, or the light server where that cannot run or is asked for.

    ``tls`` asks for Apache Kafka with TLS and client certificates. Raises BrokerError where neither can be
    had, with both reasons, or the one that can do TLS cannot.
    """
    reason = None if light else why_not()
    if reason is not None and tls:
        raise BrokerError(f"{reason}; the light server speaks plain text only")
    if reason is not None and light_command() is None:
        raise BrokerError(f"{reason}; or, for a light server: {kafka_light.LIGHT_FIX}")
    if light or reason is not None:
        with light_kafka_server() as server:
            source = KafkaSource(
                server.url,
                contract,
                "light Kafka-compatible server, embedded",
                frozenset({"pause"}),
                kafka_light.GAPS,
                server=server,
            )
            source.verify()
            source.settings = {"server": server.version, **source.settings}
            yield source
        return
    with kafka_server(tls=tls) as server:
        files = None if server.certificates is None else server.certificates.files
        source = KafkaSource(
            server.url, contract, "Apache Kafka, embedded", EMBEDDED, EMBEDDED_GAPS, files, server
        )
        source.verify()
        source.settings = {"version": server.version, **source.settings}
        yield source


@contextmanager
def contained_kafka(
    container: AbstractContextManager[ContainerServer], contract: Contract
) -> Iterator[Broker]:
    """A Kafka, or what speaks its protocol, in a container. Raises BrokerError where it does not answer."""
    with container as server:
        source = KafkaSource(server.url, contract, server.name, GIVEN, GIVEN_GAPS)
        source.verify()
        source.settings = {**source.settings, **server.settings}
        yield source


@contextmanager
def given_kafka(url: str, contract: Contract) -> Iterator[Broker]:
    """A cluster by URL, which stays as it was. Raises BrokerError where it does not answer."""
    given = Location.parse(url)
    source = KafkaSource(given.url, contract, "Kafka", GIVEN, GIVEN_GAPS, tls=given.tls)
    source.verify()
    yield source
