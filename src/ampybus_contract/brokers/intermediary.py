"""A stranger between a client and its broker, who reads what the client lets him read.

He speaks TLS to the broker as a client may, and shows the client something that it must not trust. A client
that trusts him gets through to the broker, and does not notice.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import warnings
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory

from ampybus_contract.brokers.certificates import HOST, OTHER_HOST, Authority, replace_file
from ampybus_contract.brokers.endpoint import Endpoint
from ampybus_contract.brokers.listener import Listener
from ampybus_contract.brokers.location import first_server
from ampybus_contract.brokers.tls import TlsFiles, version

CHUNK_BYTES = 65_536
HANDSHAKE_SECONDS = 5.0
HANDSHAKE_RECORD = 0x16
GREETS = "tls://"
GREETING = b"INFO "


class Disguise(StrEnum):
    """What a client meets: a right server, or one that lacks what ``security.yaml`` asks for.

    The last three are the names that its ``tls.verify`` has for what is to be verified.
    """

    NONE = ""
    PLAIN = "plain text"
    OLD = "old version"
    ISSUER = "issuer"
    HOST_NAME = "host_name"
    VALIDITY = "validity"


@dataclass(slots=True)
class Intermediary:
    """Where he listens, the files that a client is given for him, and how many bytes he could read.

    With NATS, which greets its clients in plain text, TLS begins after the greeting.
    """

    place: str
    files: TlsFiles
    read_bytes: int = 0

    def bytes_read(self) -> int:
        """How many bytes of clients he could read until now."""
        return self.read_bytes


@contextlib.asynccontextmanager
async def intermediary(endpoint: Endpoint, minimum: str, disguise: Disguise) -> AsyncIterator[Intermediary]:
    """Listen on loopback before an endpoint's first server until the block ends.

    ``minimum`` is the lowest TLS version that the contract allows. Raises BrokerError where the endpoint
    names no port.
    """
    with TemporaryDirectory(prefix="ampybus-between-") as directory:
        files = endpoint.tls or TlsFiles()
        server = first_server(endpoint.url)
        greets = endpoint.url.startswith(GREETS)
        shown, own = _shown(Path(directory), files, disguise, minimum)
        found = Intermediary("", shown)
        relay = _Relay(server, files.loaded(minimum), own, greets, found)
        listener = Listener(relay.serve, HOST)
        found.place = f"{HOST}:{listener.port}"
        try:
            yield found
        finally:
            await asyncio.gather(*listener.end(), return_exceptions=True)


def _shown(
    directory: Path, files: TlsFiles, disguise: Disguise, minimum: str
) -> tuple[TlsFiles, ssl.SSLContext | None]:
    """What the client is given, and what it is shown; both trust in an authority that the client trusts."""
    trusted, stranger = Authority(), Authority()
    ca = directory / "ca.pem"
    known = b"" if files.ca is None else files.ca.read_bytes()
    replace_file(ca, known + trusted.certificate)
    own = {
        Disguise.ISSUER: lambda: stranger.issue(HOST),
        Disguise.HOST_NAME: lambda: trusted.issue(OTHER_HOST),
        Disguise.VALIDITY: lambda: trusted.issue_expired(HOST),
    }.get(disguise, lambda: trusted.issue(HOST))()
    replace_file(directory / "server.pem", own)
    shown = TlsFiles(ca, files.certificate, files.key)
    if disguise is Disguise.PLAIN:
        return shown, None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.pem")
    if disguise is Disguise.OLD:
        _age(context, minimum)
    return shown, context


def _age(context: ssl.SSLContext, minimum: str) -> None:
    """Limit a context to versions below the minimum; OpenSSL offers old ones at its lowest level only."""
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion(version(minimum) - 1)


class _Relay:
    """Carries bytes both ways for every connection, and counts those of clients that it can read."""

    def __init__(
        self,
        server: tuple[str, int],
        upstream: ssl.SSLContext,
        own: ssl.SSLContext | None,
        greets: bool,
        found: Intermediary,
    ) -> None:
        self.server = server
        self.upstream = upstream
        self.own = own
        self.greets = greets
        self.found = found

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry a client's connection until one side ends it, or it is cancelled."""
        with contextlib.suppress(OSError, TimeoutError):
            async with contextlib.AsyncExitStack() as ends:
                ends.callback(writer.transport.abort)
                async with asyncio.timeout(HANDSHAKE_SECONDS):
                    there = await asyncio.open_connection(*self.server)
                    ends.callback(there[1].transport.abort)
                    await (self._greet if self.greets else self._begin)(writer, *there)
                async with asyncio.TaskGroup() as tasks:
                    carrying = tasks.create_task(self._carry(reader, there[1], True))
                    answering = tasks.create_task(self._carry(there[0], writer, False))
                    await asyncio.wait({carrying, answering}, return_when=asyncio.FIRST_COMPLETED)
                    carrying.cancel()
                    answering.cancel()

    async def _begin(
        self, writer: asyncio.StreamWriter, _reader: asyncio.StreamReader, there: asyncio.StreamWriter
    ) -> None:
        """Speak TLS to the server from the first byte on, and to the client what is shown to it."""
        await there.start_tls(self.upstream, server_hostname=self.server[0])
        await self._show(writer)

    async def _greet(
        self, writer: asyncio.StreamWriter, reader: asyncio.StreamReader, there: asyncio.StreamWriter
    ) -> None:
        """Pass the greeting on, as if the server asked for what is shown to the client."""
        said = json.loads((await reader.readline()).removeprefix(GREETING))
        await there.start_tls(self.upstream, server_hostname=self.server[0])
        said.pop("connect_urls", None)
        said |= {"tls_required": self.own is not None, "tls_verify": False, "tls_available": False}
        writer.write(GREETING + json.dumps(said).encode() + b"\r\n")
        await self._show(writer)

    async def _show(self, writer: asyncio.StreamWriter) -> None:
        """Begin what the client is shown: TLS, or nothing; its reading was paused until now."""
        if self.own is not None:
            await writer.start_tls(self.own)
        else:
            writer.transport.resume_reading()  # type: ignore[attr-defined]  # a transport both ways, typed as one way

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, from_client: bool
    ) -> None:
        while data := await reader.read(CHUNK_BYTES):
            if from_client and self.own is None and data[0] == HANDSHAKE_RECORD and not self.found.read_bytes:
                return
            if from_client:
                self.found.read_bytes += len(data)
            writer.write(data)
            await writer.drain()
