"""Where a bus is."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ampybus_contract.brokers.location import without_credentials
from ampybus_contract.brokers.tls import TlsFiles


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The bus's URL, and what was made on it for this run alone.

    On NATS, ``stream`` is the JetStream stream that takes all topics, and ``inbox`` the first token of the
    subjects on which a client gets answers. On Kafka, ``prefix`` is the text to put before every Kafka topic
    and every consumer group id: the topic ``ampy.dev.bars.v1.XNAS.AAPL`` goes to the Kafka topic
    ``{prefix}ampy.dev.bars.v1``, which is there already. It is empty outside of conformance runs. ``native``
    is the broker itself where it is in process, ``state`` a directory of the run in which a binding may keep
    what has to survive a crash, ``telemetry`` one for what it shows of its work (``bindings.protocol`` says
    in which files); None asks for none. ``blobs`` is the base URI below which a binding that claims
    ``pointer`` stores payloads that are too large for the bus. ``tls`` names the files to connect with where
    the URL is one for TLS (``tls://``, ``kafkas://``); they may be replaced while a binding runs, and what
    connects after that has to take them as they are then. A URL may name several servers, with commas.
    """

    url: str = field(repr=False)
    stream: str = ""
    native: Any = field(default=None, repr=False)
    state: Path | None = None
    prefix: str = ""
    inbox: str = "_INBOX"
    telemetry: Path | None = None
    blobs: str | None = None
    tls: TlsFiles | None = None

    @property
    def shown_url(self) -> str:
        """The URL without credentials."""
        return without_credentials(self.url)
