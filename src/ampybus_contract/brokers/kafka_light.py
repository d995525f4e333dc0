"""A light Kafka-compatible server on loopback, for machines without Java; its holes are declared."""

from __future__ import annotations

import contextlib
import shutil
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from ampybus_contract.brokers.kafka_server import KafkaServer, free_ports, new_log
from ampybus_contract.brokers.owned_process import ServerDirectory, owned_process
from ampybus_contract.brokers.readiness import on_a_free_port, wait_ready
from ampybus_contract.errors import BrokerError

COMMAND = "noida-db"
LIGHT_FIX = "pip install 'ampybus-contract[kafka-light]'"
READY_SECONDS = 15.0
GAPS: Mapping[str, str] = {
    "member_expiry": "a consumer that was killed stays in its group for ever",
    "old_timestamps": "records with a time of more than seven days ago expire",
    "tls": "it speaks plain text only",
    "acl": "it has no users",
    "replicas": "it is a single node that keeps messages in memory",
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
    with ServerDirectory("kafka-light") as directory:
        port, _ = free_ports()
        log = new_log()
        words = [command, "start", "--data-dir", str(directory / "data"), "--host", "127.0.0.1"]
        with owned_process([*words, "--only", "kafka", "--kafka-port", str(port)], directory, log) as process:
            wait_ready(process, log, f"127.0.0.1:{port}", READY_SECONDS)
            yield KafkaServer(f"kafka://127.0.0.1:{port}", process.pid, COMMAND, log)


def light_command() -> str | None:
    """The light server's command, or None where it is not installed."""
    beside = Path(sysconfig.get_path("scripts")) / COMMAND
    return str(beside) if beside.exists() else shutil.which(COMMAND)
