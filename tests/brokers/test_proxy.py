"""The fault proxy between real sockets: exact when clean, and each fault is what it says."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ampybus_contract.brokers.proxy import Direction, FaultProxy, Link, fault_proxy

DEADLINE_SECONDS = 20.0
SLOW = Link(latency_seconds=0.2)
HELD = Link(black_hole=True)


@dataclass
class Client:
    """A connection through the proxy."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def echo(self, data: bytes) -> bytes:
        self.writer.write(data)
        return await self.reader.readexactly(len(data))


@dataclass
class Stage:
    """An echo server, the proxy before it, and what the server has received so far."""

    port: int
    proxy: FaultProxy
    received: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)

    @contextlib.asynccontextmanager
    async def client(self, direct: bool = False) -> AsyncIterator[Client]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port if direct else self.proxy.port)
        try:
            yield Client(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@contextlib.asynccontextmanager
async def stage(seed: int = 0) -> AsyncIterator[Stage]:
    received: asyncio.Queue[bytes] = asyncio.Queue()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                received.put_nowait(data)
                writer.write(data)
                await writer.drain()
            received.put_nowait(b"")
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        received.put_nowait(b"gone")

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        async with fault_proxy(port, seed=seed) as proxy:
            yield Stage(port, proxy, received)
    finally:
        server.close()


def play(scene: Callable[[Stage], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(DEADLINE_SECONDS), stage() as made:
            await scene(made)

    asyncio.run(main())


async def seconds(work: Awaitable[object]) -> float:
    clock = asyncio.get_running_loop()
    start = clock.time()
    await work
    return clock.time() - start


LINKS = st.builds(
    Link,
    latency_seconds=st.floats(0, 0.005),
    jitter_seconds=st.floats(0, 0.005),
    bytes_per_second=st.none() | st.floats(2e6, 1e8),
)


@settings(max_examples=25, deadline=None)
@given(
    chunks=st.lists(st.binary(max_size=3000).map(lambda data: data * 40), max_size=5),
    links=st.lists(st.tuples(LINKS, st.sampled_from(list(Direction))), min_size=1, max_size=3),
)
def test_bytes_and_their_end_arrive_as_sent_while_links_change(
    chunks: list[bytes], links: list[tuple[Link, Direction]]
) -> None:
    async def scene(made: Stage) -> None:
        async with made.client() as client:

            async def send() -> None:
                for number, chunk in enumerate(chunks):
                    made.proxy.set(*links[number % len(links)])
                    client.writer.write(chunk)
                    await client.writer.drain()
                client.writer.write_eof()

            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(send())
                answer = tasks.create_task(client.reader.read(-1))
        assert answer.result() == b"".join(chunks)

    play(scene)


def test_a_delayed_byte_arrives_after_many_undelayed_round_trips() -> None:
    async def scene(made: Stage) -> None:
        async with made.client() as delayed, made.client(direct=True) as direct:
            await delayed.echo(b"-")
            made.proxy.set(SLOW)
            answer = asyncio.create_task(delayed.echo(b"late"))
            for _ in range(5):
                await direct.echo(b"soon")
            assert not answer.done()
            assert await answer == b"late"

    play(scene)


def test_latency_delays_a_stream_once_and_not_each_chunk() -> None:
    async def scene(made: Stage) -> None:
        async with made.client() as client, made.client() as other:
            made.proxy.set(SLOW, Direction.TO_SERVER)

            async def one_after_another() -> None:
                for _ in range(20):
                    await other.echo(b"1")

            slower = asyncio.create_task(one_after_another())
            await client.echo(b"x" * 2_000_000)
            assert not slower.done()
            slower.cancel()

    play(scene)


def test_jitter_makes_round_trips_longer_and_unequal() -> None:
    async def scene(made: Stage) -> None:
        async with made.client() as client:
            made.proxy.set(Link(jitter_seconds=0.1))
            shaken = [await seconds(client.echo(b"1")) for _ in range(10)]
        assert sum(shaken) > 0.2
        assert max(shaken) - min(shaken) > 0.01

    play(scene)


def test_bytes_take_at_least_the_time_that_the_bandwidth_gives_them() -> None:
    async def scene(made: Stage) -> None:
        async with made.client() as client:
            made.proxy.set(Link(bytes_per_second=1e6), Direction.TO_SERVER)
            assert await seconds(client.echo(b"x" * 200_000)) > 0.1

    play(scene)


def test_a_black_hole_in_one_direction_lets_the_other_pass_and_gives_back_what_it_held() -> None:
    async def scene(made: Stage) -> None:
        async with made.client() as client, made.client(direct=True) as direct:
            made.proxy.set(HELD, Direction.TO_CLIENT)
            answer = asyncio.create_task(client.echo(b"question"))
            assert await made.received.get() == b"question"
            await direct.echo(b"another")
            assert not answer.done()
            made.proxy.restore()
            assert await answer == b"question"

    play(scene)


def test_a_black_hole_to_the_server_lets_nothing_reach_it() -> None:
    async def scene(made: Stage) -> None:
        async with made.client() as client, made.client(direct=True) as direct:
            await client.echo(b"first")
            made.proxy.set(HELD, Direction.TO_SERVER)
            client.writer.write(b"held")
            for _ in range(5):
                await direct.echo(b"direct")
            made.proxy.restore()
            assert await client.reader.readexactly(4) == b"held"
            seen = [made.received.get_nowait() for _ in range(made.received.qsize())]
            assert seen[-1] == b"held"
            assert seen.count(b"direct") == 5

    play(scene)


def test_a_cut_ends_what_is_open_and_refuses_what_comes_until_restored() -> None:
    async def scene(made: Stage) -> None:
        async with made.client() as client:
            await client.echo(b"-")
            made.proxy.cut()
            assert await client.reader.read() == b""
        async with made.client() as client:
            with pytest.raises(ConnectionError):
                await client.echo(b"-")
                await client.echo(b"-")
        made.proxy.restore()
        async with made.client() as client:
            assert await client.echo(b"back") == b"back"

    play(scene)


def test_a_reset_is_a_reset_on_both_sides_and_new_connections_are_taken() -> None:
    async def scene(made: Stage) -> None:
        async with made.client() as client:
            await client.echo(b"-")
            made.proxy.reset()
            with pytest.raises(ConnectionResetError):
                await client.reader.read()
            assert [await made.received.get(), await made.received.get()] == [b"-", b"gone"]
        async with made.client() as client:
            assert await client.echo(b"again") == b"again"

    play(scene)


def test_half_open_tells_one_side_only() -> None:
    async def scene(made: Stage) -> None:
        async with made.client() as client, made.client(direct=True) as direct:
            await client.echo(b"-")
            made.proxy.half_open(Direction.TO_SERVER)
            assert [await made.received.get(), await made.received.get()] == [b"-", b"gone"]
            answer = asyncio.create_task(client.echo(b"anybody?"))
            for _ in range(5):
                await direct.echo(b"direct")
            assert not answer.done()
            answer.cancel()
            async with made.client() as fresh:
                assert await fresh.echo(b"new") == b"new"

    play(scene)


def test_a_missing_server_is_a_reset_for_the_client() -> None:
    async def main() -> None:
        closed = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
        port = closed.sockets[0].getsockname()[1]
        closed.close()
        async with asyncio.timeout(DEADLINE_SECONDS), fault_proxy(port) as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()

    asyncio.run(main())


def test_closing_ends_connections_in_every_state_and_leaves_no_task() -> None:
    async def main() -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            async with contextlib.AsyncExitStack() as clients, stage() as made:
                for link in (Link(), HELD, SLOW):
                    made.proxy.set(link)
                    client = await clients.enter_async_context(made.client())
                    client.writer.write(b"x" * 100)
                    await client.writer.drain()
                    if link is HELD:
                        made.proxy.half_open()
            while others := asyncio.all_tasks() - {asyncio.current_task()}:
                assert not {"_serve", "carry"} & {task.get_coro().__name__ for task in others}  # type: ignore[union-attr]
                await asyncio.wait(others)

    asyncio.run(main())
