"""What a NATS server can do to the binding, each on a real one: killed, stopped, denying, full."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import nats
import pytest

from ampybus_contract import Envelope
from ampybus_contract.bindings import nats as binding_module
from ampybus_contract.bindings.nats import NatsTransport
from ampybus_contract.bindings.protocol import Endpoint, Subscription
from ampybus_contract.brokers.nats_server import NatsServer, nats_server
from ampybus_contract.errors import BrokerError, PublishError

pytestmark = pytest.mark.server

DEADLINE_SECONDS = 30.0
USERS = """
authorization {{ users = [
  {{user: admin, password: secret-a}}
  {{user: service, password: secret-s, permissions: {{
    publish: {may}, subscribe: ["_INBOX.>"] }} }}
] }}
"""


def with_user(server: NatsServer, user: str, password: str) -> str:
    return server.url.replace("nats://", f"nats://{user}:{password}@")


async def create(url: str, **settings: Any) -> None:
    """Create the stream of the tests with a plain client."""
    client = await nats.connect(url, allow_reconnect=False)
    await client.jetstream().add_stream(name="S", **{"subjects": ["ampy.>"], **settings})
    await client.close()


async def stored(url: str) -> int:
    client = await nats.connect(url, allow_reconnect=False)
    try:
        return (await client.jetstream().stream_info("S")).state.messages
    finally:
        await client.close()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[NatsTransport]:
    transport = NatsTransport()
    await transport.open(Endpoint(url, "S"))
    try:
        yield transport
    finally:
        await transport.close()


def play(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            await scene()

    asyncio.run(main())


def test_a_killed_server_comes_back_at_its_address_with_what_it_acknowledged(
    bars: Envelope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binding_module, "CONNECT_SECONDS", 1.0)
    with nats_server() as server:

        async def scene() -> None:
            await create(server.url)
            async with opened(server.url) as transport:
                await transport.send(bars)
            before, url = server.pid, server.url
            server.kill()
            with pytest.raises(BrokerError):
                async with opened(url):
                    pass
            server.restart()
            assert server.url == url
            assert server.pid != before
            assert await stored(url) == 1

        play(scene)


def test_a_stopped_server_leaves_the_outcome_open_and_a_retry_stores_once(
    bars: Envelope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binding_module, "PUBLISH_SECONDS", 0.5)
    with nats_server() as server:

        async def scene() -> None:
            await create(server.url)
            async with opened(server.url) as transport:
                server.pause()
                with pytest.raises(PublishError, match="may be stored") as raised:
                    await transport.send(bars)
                assert not raised.value.definite
                server.resume()
                await transport.send(bars)
            assert await stored(server.url) == 1

        play(scene)


def test_a_paused_server_ends_with_its_block_without_being_killed() -> None:
    with nats_server() as server:
        server.pause()
        process = server._process
    assert process is not None
    assert process.ended() in (0, 1)


def test_a_denied_publish_is_definite_at_once_with_the_servers_reason(bars: Envelope) -> None:
    with nats_server(settings=USERS.format(may='["ampy.dev.>"]')) as server:

        async def scene() -> None:
            await create(with_user(server, "admin", "secret-a"))
            async with opened(with_user(server, "service", "secret-s")) as transport:
                with pytest.raises(PublishError, match=r"(?i)permissions violation for publish") as raised:
                    await transport.send(bars)
                assert raised.value.definite
                assert "secret-s" not in str(raised.value)
            assert await stored(with_user(server, "admin", "secret-a")) == 0

        play(scene)


def test_a_permitted_publish_beside_a_denied_one_is_stored(bars: Envelope) -> None:
    with nats_server(settings=USERS.format(may=f'["{bars.topic}"]')) as server:

        async def scene() -> None:
            await create(with_user(server, "admin", "secret-a"))
            other = Envelope(f"{bars.topic}.other", bars.headers, bars.payload)
            async with opened(with_user(server, "service", "secret-s")) as transport:
                results = await asyncio.gather(
                    transport.send(other), transport.send(bars), return_exceptions=True
                )
            assert isinstance(results[0], PublishError)
            assert results[1] is None
            assert await stored(with_user(server, "admin", "secret-a")) == 1

        play(scene)


def test_a_denied_subscription_says_why() -> None:
    with nats_server(settings=USERS.format(may='["ampy.>"]')) as server:

        async def scene() -> None:
            await create(with_user(server, "admin", "secret-a"))
            async with opened(with_user(server, "service", "secret-s")) as transport:
                with pytest.raises(BrokerError, match=r"(?i)permissions violation.*CONSUMER"):
                    await transport.consume(Subscription("ampy.>", "group"))

        play(scene)


def test_a_wrong_password_is_named_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binding_module, "CONNECT_SECONDS", 1.0)
    with nats_server(settings=USERS.format(may="[]")) as server:

        async def scene() -> None:
            with pytest.raises(BrokerError, match=r"(?i)authorization violation") as raised:
                async with opened(with_user(server, "service", "guess-1")):
                    pass
            assert "guess-1" not in str(raised.value)

        play(scene)


def test_without_jetstream_a_publish_is_definite_and_says_what_to_start(bars: Envelope) -> None:
    with nats_server(jetstream=False) as server:

        async def scene() -> None:
            async with opened(server.url) as transport:
                with pytest.raises(PublishError, match="-js") as raised:
                    await transport.send(bars)
                assert raised.value.definite

        play(scene)


@pytest.mark.parametrize("subjects", [["other.>"], ["ampy.none.>"]])
def test_a_stream_with_other_subjects_is_definite(bars: Envelope, subjects: list[str]) -> None:
    with nats_server() as server:

        async def scene() -> None:
            await create(server.url, subjects=subjects)
            async with opened(server.url) as transport:
                with pytest.raises(PublishError, match="a stream that covers the topic") as raised:
                    await transport.send(bars)
                assert raised.value.definite

        play(scene)


def test_a_full_store_is_definite_and_keeps_what_was_acknowledged(bars: Envelope) -> None:
    with nats_server() as server:

        async def scene() -> None:
            await create(server.url, max_msgs=1, discard="new")
            async with opened(server.url) as transport:
                await transport.send(bars)
                again = bars.headers.with_(message_id="018f5e3a-1b7c-7def-8abc-0123456789ab")
                with pytest.raises(PublishError, match="maximum messages") as raised:
                    await transport.send(Envelope(bars.topic, again, bars.payload))
                assert raised.value.definite
            assert await stored(server.url) == 1

        play(scene)
