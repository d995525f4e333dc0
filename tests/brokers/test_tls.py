"""TLS on NATS: what the server refuses, what the client refuses, and that nobody reads along."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ampybus_contract import Envelope
from ampybus_contract.bindings import nats as binding_module
from ampybus_contract.bindings.nats import NatsTransport
from ampybus_contract.bindings.protocol import Endpoint, Subscription
from ampybus_contract.brokers.certificates import Authority
from ampybus_contract.brokers.intermediary import Disguise, intermediary
from ampybus_contract.brokers.location import Location, elsewhere, first_server, without_credentials
from ampybus_contract.brokers.nats_server import NatsServer, nats_server
from ampybus_contract.brokers.nats_stream import NatsSource
from ampybus_contract.brokers.tls import TlsFiles
from ampybus_contract.contract import default_contract
from ampybus_contract.errors import BrokerError, PublishError

MINIMUM = default_contract().security.tls_minimum
DEADLINE_SECONDS = 30.0
SECRET = "s3cr3t-77aa"
USER = f"authorization {{ user: service, password: {SECRET} }}\n"


@pytest.fixture(scope="module")
def server() -> Iterator[NatsServer]:
    with nats_server(tls=True, settings=USER) as made:
        yield made


def endpoint(server: NatsServer, password: str = SECRET) -> Endpoint:
    assert server.certificates is not None
    url = server.url.replace("tls://", f"tls://service:{password}@")
    return Endpoint(url, "S", tls=server.certificates.files)


async def connect(place: Endpoint) -> None:
    """Connect and disconnect; raises what the binding raises."""
    transport = NatsTransport()
    async with asyncio.timeout(DEADLINE_SECONDS):
        try:
            await transport.open(place)
        finally:
            await transport.close()


def refused(place: Endpoint) -> str:
    with pytest.raises(BrokerError) as caught:
        asyncio.run(connect(place))
    assert SECRET not in repr(caught.value) + repr(caught.value.__cause__)
    return str(caught.value)


@pytest.mark.server
def test_an_envelope_crosses_by_tls(server: NatsServer, bars: Envelope) -> None:
    assert server.certificates is not None
    source = NatsSource(endpoint(server).url, "ampy", "nats", server.certificates.files, MINIMUM)
    source.verify()
    assert {"tls", "mtls"} <= source.levers
    assert "rotation" not in source.levers
    assert SECRET not in str(source.settings)

    async def main() -> None:
        async with asyncio.timeout(DEADLINE_SECONDS), source.stream() as (place, probe):
            transport = NatsTransport()
            await transport.open(place)
            await transport.send(bars)
            incoming = await anext(await transport.consume(Subscription("ampy.>", "group")))
            assert incoming.envelope == bars
            assert await probe.stored() == [bars]
            await transport.close()
            assert SECRET not in repr(place)

    asyncio.run(main())


@pytest.mark.server
def test_a_client_without_a_certificate_is_refused_at_once(server: NatsServer) -> None:
    place = endpoint(server)
    assert place.tls is not None
    assert "CERTIFICATE_REQUIRED" in refused(replace(place, tls=replace(place.tls, certificate=None)))


@pytest.mark.server
def test_a_client_of_another_authority_is_refused(server: NatsServer, tmp_path: Path) -> None:
    place = endpoint(server)
    assert place.tls is not None
    stranger = tmp_path / "stranger.pem"
    stranger.write_bytes(Authority().issue("client.invalid"))
    assert "SSL" in refused(replace(place, tls=replace(place.tls, certificate=stranger)))


@pytest.mark.server
def test_without_an_authority_the_systems_are_trusted_and_not_the_servers(server: NatsServer) -> None:
    assert "CERTIFICATE_VERIFY_FAILED" in refused(replace(endpoint(server), tls=None))


@pytest.mark.server
def test_a_wrong_password_is_not_shown(server: NatsServer) -> None:
    assert "Authorization Violation" in refused(endpoint(server, password=f"wrong-{SECRET}"))


@pytest.mark.server
@pytest.mark.parametrize("url", ["tls://service:{}@127.0.0.1:{}", "nats://service:{}@127.0.0.1:{}"])
def test_nothing_is_said_to_a_server_without_tls(url: str, server: NatsServer) -> None:
    with nats_server(settings=USER) as plain:
        port = first_server(plain.url)[1]
        assert "no TLS" in refused(replace(endpoint(server), url=url.format(SECRET, port)))


@pytest.mark.server
@pytest.mark.parametrize("disguise", list(Disguise))
def test_only_a_right_server_reads_what_the_client_says(
    disguise: Disguise, server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binding_module, "CONNECT_SECONDS", 1.0)
    place = endpoint(server)

    async def main() -> tuple[bool, int]:
        async with intermediary(place, MINIMUM, disguise) as between:
            try:
                await connect(replace(place, url=elsewhere(place.url, between.place), tls=between.files))
            except BrokerError:
                return False, between.read_bytes
            return True, between.read_bytes

    trusted, read = asyncio.run(main())
    assert (trusted, read > 0) == (disguise is Disguise.NONE, disguise is Disguise.NONE)


@pytest.mark.server
def test_renewed_certificates_are_taken_without_a_restart_of_anybody(bars: Envelope, tmp_path: Path) -> None:
    with nats_server(tls=True) as server:
        own = server.certificates
        assert own is not None
        source = NatsSource(server.url, "ampy", "n", own.files, MINIMUM, server)
        source.verify()
        assert "rotation" in source.levers
        old_ca = Path(shutil.copy(own.ca, tmp_path / "ca.pem"))
        old_client = Path(shutil.copy(own.client, tmp_path / "client.pem"))

        async def main() -> None:
            async with asyncio.timeout(DEADLINE_SECONDS), source.stream() as (place, probe):
                transport = NatsTransport()
                await transport.open(place)
                pid = server.pid
                await probe.renew_certificates()
                for old in (TlsFiles(old_ca, own.client), TlsFiles(own.ca, old_client)):
                    with pytest.raises(BrokerError):
                        await connect(replace(place, tls=old))
                assert transport.client is not None
                await transport.client.force_reconnect()
                await sent(transport, bars)
                assert await probe.stored() == [bars]
                assert server.pid == pid
                await transport.close()

        asyncio.run(main())


async def sent(transport: NatsTransport, envelope: Envelope) -> None:
    """Publish until it is acknowledged, as the same message."""
    while True:
        with contextlib.suppress(PublishError):
            return await transport.send(envelope)


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("nothing")
    for files in (TlsFiles(ca=broken), TlsFiles(certificate=broken), TlsFiles(ca=tmp_path / "absent.pem")):
        with pytest.raises(BrokerError, match=r"expected PEM files for TLS, got \w+ for .*\.pem"):
            files.context(MINIMUM)


def test_a_url_names_its_files() -> None:
    found = Location.parse("tls://me:pw@host:4222?ca=/a/ca.pem&cert=/a/c.pem&key=/a/c.key")
    assert found.url == "tls://me:pw@host:4222"
    assert found.tls == TlsFiles(Path("/a/ca.pem"), Path("/a/c.pem"), Path("/a/c.key"))
    assert Location.parse("kafkas://host:1").tls == TlsFiles()
    assert Location.parse("nats://host:1") == Location("nats://host:1", None)
    assert "pw" not in repr(found)


@pytest.mark.parametrize(
    "url",
    [
        f"nats://host:4222?ca={SECRET}",
        f"tls://host:4222?password={SECRET}",
        f"tls://host:4222?key={SECRET}",
        f"tls://me:{SECRET}?more@host:4222",
        f"tls://host:4222?{SECRET}",
    ],
)
def test_a_url_with_other_words_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(BrokerError) as caught:
        Location.parse(url)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("nats://me:pw@host:1", "nats://host:1"),
        ("nats://me:pw@one:1,nats://me:pw@two:2", "nats://two:2"),
        ("me:pw@host:1", "host:1"),
        ("tls://me:p@w?x@host:1?ca=/a.pem", "tls://host:1"),
        ("kafka://one:1,two:2", "kafka://one:1,two:2"),
        ("embedded:nats", "embedded:nats"),
    ],
)
def test_what_is_shown_of_a_url(url: str, shown: str) -> None:
    assert without_credentials(url) == shown
