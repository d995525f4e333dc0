"""A real Apache Kafka on loopback, one node in KRaft mode, without a container."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from ampybus_contract.brokers.certificates import Certificates
from ampybus_contract.brokers.kafka_distribution import KafkaDistribution, cache, kafka_distribution
from ampybus_contract.brokers.owned_process import ServerDirectory, owned_process
from ampybus_contract.brokers.owned_server import OwnedServer
from ampybus_contract.brokers.readiness import on_a_free_port, wait_ready
from ampybus_contract.brokers.supervisor import identity
from ampybus_contract.errors import BrokerError

READY_SECONDS = 60.0
FORMAT_SECONDS = 60.0
READY_WORDS = "Kafka Server started"
LOGS_KEPT = 20
MESSAGE_BYTES = 1_048_576
CONFIG = """process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=CLIENT://127.0.0.1:{client},LINK://127.0.0.1:{linked},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=CLIENT://127.0.0.1:{client},LINK://127.0.0.1:{link}
listener.security.protocol.map=CLIENT:{protocol},LINK:{protocol},CONTROLLER:PLAINTEXT
broker.session.timeout.ms=2500
broker.heartbeat.interval.ms=500
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
TLS = """listener.name.{name}.ssl.keystore.type=PEM
listener.name.{name}.ssl.keystore.location={own}
listener.name.{name}.ssl.truststore.type=PEM
listener.name.{name}.ssl.truststore.location={ca}
listener.name.{name}.ssl.client.auth=required
"""


@dataclass(frozen=True, slots=True)
class Start:
    """How a server is started: its command, its directory, and what its log says within how many seconds."""

    command: Sequence[str]
    directory: Path
    ready_words: str
    ready_seconds: float


class KafkaServer(OwnedServer):
    """A server and the levers on its process: its URL stays the same through every restart.

    ``version`` is what runs, ``log`` what it writes since its last start. ``link`` are two ports: where it
    takes clients by another way, and where it sends these, for a proxy between. ``certificates`` are those
    that it has with TLS.
    """

    def __init__(
        self,
        url: str,
        version: str,
        log: Path,
        start: Start,
        link: tuple[int, int] | None = None,
        certificates: Certificates | None = None,
    ) -> None:
        super().__init__()
        self.url = url
        self.version = version
        self.log = log
        self.link = link
        self.certificates = certificates
        self._start = start

    def start(self) -> None:
        """Start, and wait until it takes clients."""
        how = self._start
        process = self.own(owned_process(how.command, how.directory, self.log))
        wait_ready(process, self.log, how.ready_words, how.ready_seconds)

    def restart(self) -> None:
        """Start again, killed before or not, with the same data on the same ports."""
        self.start_again(self.start, self._start.ready_seconds)


def kafka_server(tls: bool = False, settings: str = "") -> AbstractContextManager[KafkaServer]:
    """Start a server on free loopback ports and end it, with its data, with the block; its log is kept.

    An acknowledged message survives a kill of the process. With ``tls`` it takes TLS only, and clients with
    a certificate only: those of ``certificates``, made for it. ``settings`` are lines after the server's own
    configuration; of two lines with one name the last one counts. Raises BrokerError where Kafka cannot be
    had, ends early, or is not ready within ``READY_SECONDS``.
    """
    return on_a_free_port(lambda: _start(kafka_distribution(), tls, settings))


@contextlib.contextmanager
def _start(distribution: KafkaDistribution, tls: bool, settings: str) -> Iterator[KafkaServer]:
    with ServerDirectory("kafka") as directory, kept_port() as link, contextlib.ExitStack() as end:
        client, linked, controller = free_ports(3)
        certificates = Certificates(directory) if tls else None
        ports = client, linked, link, controller
        config = _configured(distribution, directory, ports, certificates, settings)
        command = distribution.command(directory, "kafka.Kafka", str(config))
        server = KafkaServer(
            f"{'kafkas' if tls else 'kafka'}://127.0.0.1:{client}",
            distribution.version,
            new_log(),
            Start(command, directory, READY_WORDS, READY_SECONDS),
            (linked, link),
            certificates,
        )
        end.callback(server.close)
        server.start()
        yield server


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody uses at the moment."""
    with contextlib.ExitStack() as held:
        found = [held.enter_context(socket.socket()) for _ in range(count)]
        for end in found:
            end.bind(("127.0.0.1", 0))
        return [end.getsockname()[1] for end in found]


@contextlib.contextmanager
def kept_port() -> Iterator[int]:
    """A loopback port that nobody gets but who shares it (``SO_REUSEPORT``) to listen there."""
    with socket.socket() as keeper:
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        keeper.bind(("127.0.0.1", 0))
        yield keeper.getsockname()[1]


def new_log() -> Path:
    """A new log file in the user's cache; of the older ones, the newest few are kept.

    One whose server may still run stays: a server that is started again waits for words in its log.
    """
    directory = cache() / "logs"
    directory.mkdir(parents=True, exist_ok=True)
    ended = [path for path in directory.glob("kafka-*.log") if not _owner_lives(path)]
    for old in sorted(ended, reverse=True)[LOGS_KEPT - 1 :]:
        old.unlink(missing_ok=True)
    return directory / f"kafka-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{secrets.token_hex(2)}.log"


def _owner_lives(log: Path) -> bool:
    """Whether the process that made a log, which is in its name, is there."""
    owner = log.stem.rpartition("-")[0].rpartition("-")[2]
    return owner.isdigit() and identity(int(owner)) is not None


def _configured(
    distribution: KafkaDistribution,
    directory: Path,
    ports: tuple[int, int, int, int],
    certificates: Certificates | None,
    settings: str,
) -> Path:
    config = directory / "server.properties"
    client, linked, link, controller = ports
    names = () if certificates is None else ("client", "link")
    secured = "".join(
        TLS.format(name=name, own=certificates.server, ca=certificates.ca) for name in names if certificates
    )
    config.write_text(
        CONFIG.format(
            protocol="PLAINTEXT" if certificates is None else "SSL",
            client=client,
            controller=controller,
            linked=linked,
            link=link,
            data=directory / "data",
            message_bytes=MESSAGE_BYTES,
        )
        + secured
        + settings
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
