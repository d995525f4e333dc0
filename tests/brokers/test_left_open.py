"""No socket outlives what opened it, whatever moment it ends in; each test counts them after the loop."""

from __future__ import annotations

import asyncio
import gc
import socket
import warnings
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from ampybus_contract.bindings.nats import NatsTransport
from ampybus_contract.bindings.protocol import Endpoint
from ampybus_contract.brokers.intermediary import Disguise, Intermediary, intermediary
from ampybus_contract.brokers.location import first_server
from ampybus_contract.brokers.nats_client import NatsClient
from ampybus_contract.brokers.nats_server import NatsServer, nats_server
from ampybus_contract.brokers.nats_stream import NatsSource
from ampybus_contract.brokers.proxy import Direction, FaultProxy, Link, fault_proxy
from ampybus_contract.contract import default_contract
from ampybus_contract.errors import BrokerError

pytestmark = pytest.mark.server

MINIMUM = default_contract().security.tls_minimum
DEADLINE_SECONDS = 30.0
STEPS = 40
MOMENTS = 8


@pytest.fixture(scope="module")
def secured() -> Iterator[NatsServer]:
    with nats_server(tls=True) as made:
        yield made


@pytest.fixture(scope="module")
def plain() -> Iterator[NatsServer]:
    with nats_server() as made:
        yield made


def left_open(scene: Callable[[], Coroutine[Any, Any, None]]) -> list[str]:
    """What a scene leaves open when its loop is closed."""

    async def main() -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            await scene()

    gc.collect()
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        asyncio.run(main())
        gc.collect()
    return [str(item.message) for item in found if item.category is ResourceWarning]


async def steps(count: int) -> None:
    """Let everything that is ready go on, so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


def between(server: NatsServer, scheme: str) -> AbstractAsyncContextManager[Intermediary]:
    assert server.certificates is not None
    url = server.url.replace("tls:", f"{scheme}:")
    return intermediary(Endpoint(url, "S", tls=server.certificates.files), MINIMUM, Disguise.ISSUER)


@pytest.mark.parametrize("kind", ["tls", "kafkas", "proxy"])
@pytest.mark.parametrize("moment", range(MOMENTS))
def test_a_connection_that_comes_as_the_listener_ends(moment: int, kind: str, secured: NatsServer) -> None:
    """By the count of steps, as ``asyncio`` takes a connection in several."""
    made: Callable[[], AbstractAsyncContextManager[Intermediary | FaultProxy]] = lambda: (  # noqa: E731
        fault_proxy(first_server(secured.url)[1]) if kind == "proxy" else between(secured, kind)
    )

    async def scene() -> None:
        async with made() as listening:
            port = (
                listening.port
                if isinstance(listening, FaultProxy)
                else int(listening.place.rpartition(":")[2])
            )
            client = socket.create_connection(("127.0.0.1", port))
            await steps(moment)
        client.close()

    assert left_open(scene) == []


async def cancelled_after(count: int, place: Endpoint) -> bool:
    """Cancel a binding that connects after so many steps; whether that was before it had connected."""
    transport = NatsTransport()
    opening = asyncio.create_task(transport.open(place))
    await steps(count)
    early = not opening.done()
    opening.cancel()
    await asyncio.wait({opening})
    assert opening.cancelled() or not early
    await transport.close()
    return early


@pytest.mark.parametrize("tls", [False, True])
def test_a_binding_cancelled_at_any_step_of_connecting(
    tls: bool, plain: NatsServer, secured: NatsServer
) -> None:
    """It is cancelled, not connected: a swallowed cancellation would be a deadline that does not hold."""
    server = secured if tls else plain
    place = Endpoint(server.url, "S", tls=server.certificates.files if server.certificates else None)

    async def scene() -> None:
        early = [await cancelled_after(count, place) for count in range(STEPS)]
        assert early[0]

    assert left_open(scene) == []


def test_a_binding_cancelled_at_any_step_of_being_deceived(secured: NatsServer) -> None:
    async def scene() -> None:
        for count in range(STEPS):
            async with between(secured, "tls") as found:
                await cancelled_after(count, Endpoint(f"tls://{found.place}", "S", tls=found.files))

    assert left_open(scene) == []


def test_a_source_that_is_refused() -> None:
    with nats_server(settings="authorization { user: service, password: other }\n") as server:

        async def scene() -> None:
            with pytest.raises(BrokerError):
                async with NatsSource(server.url, "ampy", "nats")._client():
                    pass

        assert left_open(scene) == []


def test_a_server_that_takes_connections_and_says_nothing(plain: NatsServer) -> None:
    """As one that is stopped does; nats-py opens a socket for each attempt to reconnect."""

    async def scene() -> None:
        silent, attempts = asyncio.Event(), 0

        async def hear(error: Exception) -> None:
            nonlocal attempts
            attempts += isinstance(error, TimeoutError)
            if attempts > 2:
                silent.set()

        client = NatsClient()
        async with fault_proxy(first_server(plain.url)[1]) as proxy:
            await client.reach(
                f"nats://127.0.0.1:{proxy.port}",
                DEADLINE_SECONDS,
                connect_timeout=0.1,
                reconnect_time_wait=0.01,
                error_cb=hear,
            )
            proxy.set(Link(black_hole=True), Direction.TO_CLIENT)
            proxy.reset()
            await silent.wait()
            await client.end()

    assert left_open(scene) == []
