"""Members of one group on a real NATS server: one has the turn, the next one gets first what it leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import nats
import pytest

from ampybus_contract import Envelope
from ampybus_contract.bindings import nats as binding_module
from ampybus_contract.bindings.nats import NatsTransport
from ampybus_contract.bindings.nats_requests import SharedConsumer
from ampybus_contract.bindings.protocol import Endpoint, Subscription
from ampybus_contract.bindings.transport import Incoming
from ampybus_contract.brokers.nats_server import NatsServer, nats_server
from ampybus_contract.contract import default_contract
from ampybus_contract.harness.workload import Workload

pytestmark = pytest.mark.server

DEADLINE_SECONDS = 30.0
GROUP = "group"


@pytest.fixture(scope="module")
def server() -> Iterator[NatsServer]:
    with nats_server() as made:
        yield made


def play(server: NatsServer, scene: Callable[[str], Coroutine[Any, Any, None]]) -> None:
    """Play a scene on a new stream."""

    async def main() -> None:
        client = await nats.connect(server.url, allow_reconnect=False)
        await client.jetstream().add_stream(name="S", subjects=["ampy.>"])
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await scene(server.url)
        finally:
            await client.jetstream().delete_stream("S")
            await client.close()

    asyncio.run(main())


@asynccontextmanager
async def member(url: str) -> AsyncIterator[tuple[NatsTransport, AsyncIterator[Incoming]]]:
    transport = NatsTransport()
    await transport.open(Endpoint(url, "S"))
    try:
        yield transport, await transport.consume(Subscription("ampy.>", GROUP))
    finally:
        await transport.close()


def envelopes(count: int) -> list[Envelope]:
    workload = Workload(default_contract(), 1)
    return [workload.envelope(workload.keyed_domain()) for _ in range(count)]


async def positions(messages: AsyncIterator[Incoming], count: int) -> list[object]:
    return [(await anext(messages)).position for _ in range(count)]


def test_what_a_member_hands_back_comes_first_and_before_its_time(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binding_module, "ACK_WAIT_SECONDS", 10 * DEADLINE_SECONDS)

    async def scene(url: str) -> None:
        async with member(url) as (first, taken), member(url) as (_second, waiting):
            for envelope in envelopes(4):
                await first.send(envelope)
            assert await positions(taken, 2) == [1, 2]
            other = asyncio.create_task(positions(waiting, 5))
            await first.leave(GROUP)
            await first.send(envelopes(5)[-1])
            assert await other == [1, 2, 3, 4, 5]

    play(server, scene)


def test_what_is_in_hand_elsewhere_holds_back_what_is_newer(server: NatsServer) -> None:
    async def scene(url: str) -> None:
        one, two = envelopes(2)
        async with member(url) as (first, taken), member(url) as (second, waiting):
            await first.send(one)
            mine = await anext(taken)
            (pull,) = first._pulls
            await pull.requests.hand_back_turn()
            await first.send(two)
            other = asyncio.ensure_future(anext(waiting))
            while not (second._pulls[0].requests.turn and second._pulls[0].turn):
                await asyncio.sleep(0.01)
            assert not other.done()
            await mine.ack()
            assert (await other).position == 2

    play(server, scene)


def test_what_a_killed_member_held_comes_before_what_is_newer(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binding_module, "ACK_WAIT_SECONDS", 4.0)

    async def scene(url: str) -> None:
        async with member(url) as (first, taken):
            for envelope in envelopes(2):
                await first.send(envelope)
            assert await positions(taken, 2) == [1, 2]
        async with member(url) as (second, taken):
            await second.send(envelopes(3)[-1])
            assert await positions(taken, 3) == [1, 2, 3]

    play(server, scene)


def test_a_member_that_is_busy_keeps_its_turn(server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ampybus_contract.bindings.nats_pull.PROLONG_SECONDS", 0.2)
    monkeypatch.setattr(
        binding_module, "SharedConsumer", partial(SharedConsumer, priority_timeout=1_000_000_000)
    )

    async def scene(url: str) -> None:
        one, two = envelopes(2)
        async with member(url) as (first, taken), member(url) as (_second, waiting):
            await first.send(one)
            await (await anext(taken)).ack()
            other = asyncio.ensure_future(anext(waiting))
            await asyncio.wait([other], timeout=2.5)
            await first.send(two)
            assert (await anext(taken)).position == 2
            assert not other.done()
            other.cancel()

    play(server, scene)


def test_nobody_sees_the_header_by_which_the_server_names_the_turn(server: NatsServer) -> None:
    async def scene(url: str) -> None:
        async with member(url) as (first, taken):
            (envelope,) = envelopes(1)
            await first.send(envelope)
            assert dict((await anext(taken)).envelope.headers) == dict(envelope.headers)

    play(server, scene)
