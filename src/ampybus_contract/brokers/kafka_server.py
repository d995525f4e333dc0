"""A real Apache Kafka on loopback, one node in KRaft mode, without a container."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from ampybus_contract.brokers.certificates import Certificates
from ampybus_contract.brokers.kafka_distribution import KafkaDistribution, cache, kafka_distribution
from ampybus_contract.brokers.owned_process import ServerDirectory, owned_process
from ampybus_contract.brokers.readiness import on_a_free_port, wait_ready
from ampybus_contract.errors import BrokerError

READY_SECONDS = 60.0
FORMAT_SECONDS = 60.0
READY_WORDS = "Kafka Server started"
LOGS_KEPT = 20
MESSAGE_BYTES = 1_048_576
CONFIG = """process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=CLIENT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=CLIENT://127.0.0.1:{advertised}
listener.security.protocol.map=CLIENT:{protocol},CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=CLIENT
log.dirs={data}
auto.create.topics.enable=false
delete.topic.enable=true
message.max.bytes={message_bytes}
log.retention.ms=-1
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
"""
TLS = """listener.name.client.ssl.keystore.type=PEM
listener.name.client.ssl.keystore.location={own}
listener.name.client.ssl.truststore.type=PEM
listener.name.client.ssl.truststore.location={ca}
listener.name.client.ssl.client.auth=required
"""


@dataclass(frozen=True, slots=True)
class KafkaServer:
    """A running server: its URL, process id, version, the log it writes, and with TLS the certificates."""

    url: str
    pid: int
    version: str
    log: Path
    certificates: Certificates | None = None


def kafka_server(
    advertised_port: int | None = None, tls: bool = False
) -> AbstractContextManager[KafkaServer]:
    """Start a server on free loopback ports and end it, with its data, with the block; its log is kept.

    An acknowledged message survives a kill of the process. ``advertised_port`` is the one that clients are
    sent to, for a proxy between; default: the server's own. With ``tls`` it takes TLS only, and clients with
    a certificate only: those of ``certificates``, made for it. Raises BrokerError where Kafka cannot be had,
    ends early, or is not ready within ``READY_SECONDS``.
    """
    return on_a_free_port(lambda: _start(kafka_distribution(), advertised_port, tls))


@contextlib.contextmanager
def _start(distribution: KafkaDistribution, advertised_port: int | None, tls: bool) -> Iterator[KafkaServer]:
    with ServerDirectory("kafka") as directory:
        client, controller = free_ports()
        log = new_log()
        certificates = Certificates(directory) if tls else None
        ports = (client, controller, advertised_port or client)
        config = _configured(distribution, directory, ports, certificates)
        with owned_process(
            distribution.command(directory, "kafka.Kafka", str(config)), directory, log
        ) as process:
            wait_ready(process, log, READY_WORDS, READY_SECONDS)
            url = f"{'kafkas' if tls else 'kafka'}://127.0.0.1:{client}"
            yield KafkaServer(url, process.pid, distribution.version, log, certificates)


def free_ports() -> tuple[int, int]:
    """Two loopback ports that nobody uses at the moment."""
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


def new_log() -> Path:
    """A new log file in the user's cache; of the older ones, the newest few are kept."""
    directory = cache() / "logs"
    directory.mkdir(parents=True, exist_ok=True)
    kept = sorted(directory.glob("kafka-*.log"), reverse=True)
    for old in kept[LOGS_KEPT - 1 :]:
        old.unlink(missing_ok=True)
    return directory / f"kafka-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{secrets.token_hex(2)}.log"


def _configured(
    distribution: KafkaDistribution,
    directory: Path,
    ports: tuple[int, int, int],
    certificates: Certificates | None,
) -> Path:
    config = directory / "server.properties"
    client, controller, advertised = ports
    secured = "" if certificates is None else TLS.format(own=certificates.server, ca=certificates.ca)
    config.write_text(
        CONFIG.format(
            protocol="PLAINTEXT" if certificates is None else "SSL",
            client=client,
            controller=controller,
            advertised=advertised,
            data=directory / "data",
            message_bytes=MESSAGE_BYTES,
        )
        + secured
    )
    cluster = urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=").replace("-", "A")
    words = distribution.command(
        directory, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(config)
    )
    found = subprocess.run(words, capture_output=True, text=True, check=False, timeout=FORMAT_SECONDS)
    if found.returncode != 0:
        raise BrokerError(
            f"BROKER expected Kafka to format its storage, it ended with code {found.returncode}: "
            f"{(found.stderr or found.stdout)[-300:].strip()!r}. Fix: see its words"
        )
    return config
