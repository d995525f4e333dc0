"""A light Kafka-compatible server on loopback, for machines without Java; its holes are declared."""

from __future__ import annotations

import contextlib
import shutil
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from ampybus_contract.brokers.kafka_server import KafkaServer, Start, free_ports, new_log
from ampybus_contract.brokers.owned_process import ServerDirectory
from ampybus_contract.brokers.readiness import on_a_free_port
from ampybus_contract.errors import BrokerError

COMMAND = "noida-db"
LIGHT_FIX = "pip install 'ampybus-contract[kafka-light]'"
READY_SECONDS = 15.0
GAPS: Mapping[str, str] = {
    "groups": "a member that has to join again keeps its old place in the group, too",
    "member_expiry": "a consumer that was killed stays in its group for ever",
    "old_timestamps": "records with a time of more than seven days ago expire",
    "tls": "it speaks plain text only",
    "acl": "it has no users",
    "replicas": "it is a single node that keeps messages in memory",
    "restart": "it keeps messages in memory",
    "proxy": "it advertises its own address only",
}


def light_kafka_server() -> AbstractContextManager[KafkaServer]:
    """Start a server on a free loopback port and end it, with its data, with the block; its log is kept.

    Raises BrokerError where it is not installed, ends early, or is not ready within ``READY_SECONDS``.
    """
    return on_a_free_port(_start)


@contextlib.contextmanager
def _start() -> Iterator[KafkaServer]:
    command = light_command()
    if command is None:
        raise BrokerError(f"BROKER expected {COMMAND}, found none. Fix: {LIGHT_FIX}")
    with ServerDirectory("kafka-light") as directory, contextlib.ExitStack() as end:
        (port,) = free_ports(1)
        log = new_log()
        words = [command, "start", "--data-dir", str(directory / "data"), "--host", "127.0.0.1"]
        words += ["--only", "kafka", "--kafka-port", str(port)]
        start = Start(words, directory, f"127.0.0.1:{port}", READY_SECONDS)
        server = KafkaServer(f"kafka://127.0.0.1:{port}", COMMAND, log, start)
        end.callback(server.close)
        server.start()
        yield server


def light_command() -> str | None:
    """The light server's command, or None where it is not installed."""
    beside = Path(sysconfig.get_path("scripts")) / COMMAND
    return str(beside) if beside.exists() else shutil.which(COMMAND)
