"""A nats-server that is killed exactly at an ack: the last answer, or the last word to it, never arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import nats
import pytest

from ampybus_contract import Envelope
from ampybus_contract.bindings import nats as binding_module
from ampybus_contract.bindings.nats import NatsTransport
from ampybus_contract.bindings.protocol import Endpoint, Handler, Settlement, Subscription
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.brokers.location import first_server
from ampybus_contract.brokers.nats_server import NatsServer, nats_server
from ampybus_contract.brokers.proxy import Direction, FaultProxy, Link, fault_proxy
from ampybus_contract.contract import default_contract
from ampybus_contract.errors import PublishError
from ampybus_contract.harness.workload import Workload

pytestmark = pytest.mark.server

CONTRACT = default_contract()
DEADLINE_SECONDS = 60.0
PAUSE_SECONDS = 0.01
EVERYTHING = Subscription("ampy.>", "group")
Scene = Callable[["Place"], Awaitable[None]]


class Place:
    """A server with a stream, a link to it that can lose what goes one way, and who looks past the link."""

    def __init__(self, server: NatsServer, link: FaultProxy, state: Path) -> None:
        self.server = server
        self.link = link
        self.endpoint = Endpoint(f"nats://127.0.0.1:{link.port}", "S", state=state)

    async def stored(self) -> int:
        client = await nats.connect(self.server.url, allow_reconnect=False)
        found = (await client.jetstream().stream_info("S")).state.messages
        await client.close()
        return found

    async def unacknowledged(self) -> int:
        client = await nats.connect(self.server.url, allow_reconnect=False)
        (found,) = await client.jetstream().consumers_info("S")
        await client.close()
        return (found.num_ack_pending or 0) + (found.num_pending or 0)

    async def kill(self) -> None:
        """With what is under way, in both directions."""
        await asyncio.to_thread(self.server.kill)
        self.link.reset()
        self.link.restore()

    async def restart(self) -> None:
        await asyncio.to_thread(self.server.restart)

    async def opened(self) -> ReferenceBinding:
        binding = ReferenceBinding(NatsTransport(CONTRACT), CONTRACT)
        await binding.start(self.endpoint)
        return binding


async def until(found: Callable[[], Awaitable[int]], wanted: int) -> None:
    while await found() != wanted:
        await asyncio.sleep(PAUSE_SECONDS)


@pytest.fixture
def server() -> Iterator[NatsServer]:
    with nats_server() as made:
        yield made


def play(server: NatsServer, state: Path, scene: Scene) -> None:
    async def main() -> None:
        async with asyncio.timeout(DEADLINE_SECONDS), fault_proxy(first_server(server.url)[1]) as link:
            client = await nats.connect(server.url, allow_reconnect=False)
            await client.jetstream().add_stream(name="S", subjects=["ampy.>"])
            await client.close()
            await scene(Place(server, link, state))

    asyncio.run(main())


def orders(count: int) -> list[Envelope]:
    workload = Workload(CONTRACT, 3)
    return [workload.envelope("orders") for _ in range(count)]


def putting(got: asyncio.Queue[Envelope]) -> Handler:
    async def handle(envelope: Envelope) -> Settlement:
        got.put_nowait(envelope)
        return Settlement.OK

    return handle


@pytest.mark.parametrize("back_in_time", [False, True], ids=["later", "in time"])
def test_an_ack_that_the_killed_server_owes_is_open_and_the_same_message_is_stored_once(
    back_in_time: bool, server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server back before the binding's own second attempt is over makes it a success, else it is open."""
    monkeypatch.setattr(binding_module, "PUBLISH_SECONDS", 3.0 if back_in_time else 0.7)

    async def scene(place: Place) -> None:
        binding = await place.opened()
        got: asyncio.Queue[Envelope] = asyncio.Queue()
        await binding.subscribe(EVERYTHING, putting(got))
        sent, last = orders(2)
        place.link.set(Link(black_hole=True), Direction.TO_CLIENT)
        publishing = asyncio.create_task(binding.publish(sent))
        await until(place.stored, 1)
        assert not publishing.done()
        await place.kill()
        if back_in_time:
            await place.restart()
            await publishing
        else:
            with pytest.raises(
                PublishError, match=r"may be stored\. Fix: publish again with the same"
            ) as raised:
                await publishing
            assert not raised.value.definite
            await place.restart()
            assert await place.stored() == 1
            await binding.publish(sent)
        await binding.publish(last)
        assert await place.stored() == 2
        assert [await got.get(), await got.get()] == [sent, last]
        await until(place.unacknowledged, 0)
        assert got.empty()
        await binding.stop()

    play(server, tmp_path, scene)


@pytest.mark.parametrize("survives", [True, False], ids=["alone", "with its consumer"])
def test_a_consumers_ack_that_the_killed_server_never_got_makes_no_second_effect(
    survives: bool, server: NatsServer, tmp_path: Path
) -> None:
    async def scene(place: Place) -> None:
        binding = await place.opened()
        got: asyncio.Queue[Envelope] = asyncio.Queue()

        async def handle(envelope: Envelope) -> Settlement:
            place.link.set(Link(black_hole=True), Direction.TO_SERVER)
            got.put_nowait(envelope)
            return Settlement.OK

        await binding.subscribe(EVERYTHING, handle)
        first, last = orders(2)
        await binding.publish(first)
        assert await got.get() == first
        (group,) = binding.groups
        while group.held:
            await asyncio.sleep(PAUSE_SECONDS)
        assert await place.unacknowledged() == 1
        await place.kill()
        if not survives:
            await binding.kill()
        await place.restart()
        if not survives:
            assert await place.unacknowledged() == 1
            binding = await place.opened()
            await binding.subscribe(EVERYTHING, putting(got))
        place.link.restore()
        await binding.publish(last)
        assert await got.get() == last
        place.link.restore()
        await until(place.unacknowledged, 0)
        assert got.empty()
        assert await place.stored() == 2
        await binding.stop()

    play(server, tmp_path, scene)
