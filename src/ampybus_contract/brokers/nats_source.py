"""The NATS brokers that a run can ask for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from ampybus_contract.brokers.location import Location
from ampybus_contract.brokers.nats_cluster import SERVERS, nats_cluster
from ampybus_contract.brokers.nats_cluster_stream import NatsClusterSource
from ampybus_contract.brokers.nats_server import nats_server
from ampybus_contract.brokers.nats_stream import NatsSource
from ampybus_contract.brokers.protocol import Broker
from ampybus_contract.contract import Contract

if TYPE_CHECKING:
    from ampybus_contract.brokers.container import ContainerServer


@contextmanager
def embedded_nats(contract: Contract, tls: bool = False) -> Iterator[Broker]:
    """A server of the run's own. Raises BrokerError where it cannot be started."""
    with nats_server(tls=tls) as server:
        name, own = "NATS JetStream, embedded", server.certificates
        files, minimum = None if own is None else own.files, contract.security.tls_minimum
        source = NatsSource(server.url, contract.topic.prefix, name, files, minimum, server, contract.nats)
        source.verify()
        source.settings = {**source.settings, "sync": "always", "replicas": "1"}
        yield source


@contextmanager
def clustered_nats(contract: Contract) -> Iterator[Broker]:
    """Three servers of the run's own that hold each stream together. Raises BrokerError as above."""
    with nats_cluster() as cluster:
        source = NatsClusterSource(cluster, contract.topic.prefix, "NATS JetStream, embedded cluster")
        source.verify()
        source.settings = {**source.settings, "sync": "always", "replicas": str(SERVERS)}
        yield source


@contextmanager
def contained_nats(
    container: AbstractContextManager[ContainerServer], contract: Contract
) -> Iterator[Broker]:
    """A server in a container. Raises BrokerError where it does not answer."""
    with container as server:
        source = NatsSource(server.url, contract.topic.prefix, server.name, mapping=contract.nats)
        source.verify()
        source.settings = {**source.settings, **server.settings}
        yield source


@contextmanager
def given_nats(url: str, contract: Contract) -> Iterator[Broker]:
    """A server by URL, which stays as it was. Raises BrokerError where it does not answer."""
    given, minimum = Location.parse(url), contract.security.tls_minimum
    name = "NATS JetStream"
    source = NatsSource(given.url, contract.topic.prefix, name, given.tls, minimum, mapping=contract.nats)
    source.verify()
    source.ask_durability()
    yield source
