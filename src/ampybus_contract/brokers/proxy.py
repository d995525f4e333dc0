"""A TCP proxy on loopback that does to a connection what networks do."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from enum import Flag, auto

from ampybus_contract.brokers.listener import Listener

CHUNK_BYTES = 65_536
CHUNKS_UNDER_WAY = 256
PACE_SECONDS = 0.01
CONNECT_SECONDS = 5.0


class Direction(Flag):
    """The way bytes go through the proxy."""

    TO_SERVER = auto()
    TO_CLIENT = auto()
    BOTH = TO_SERVER | TO_CLIENT


@dataclass(frozen=True, slots=True)
class Link:
    """How one direction carries bytes; as given here, it does nothing to them.

    Each chunk waits ``latency_seconds`` and up to ``jitter_seconds`` more; bytes never overtake. A
    ``black_hole`` holds them: as TCP sends again what was lost, they arrive when it ends.
    """

    latency_seconds: float = 0.0
    jitter_seconds: float = 0.0
    bytes_per_second: float | None = None
    black_hole: bool = False


class _State:
    """The link in force in one direction; tells those who wait when it changes."""

    def __init__(self) -> None:
        self.link = Link()
        self.changed = asyncio.Event()

    def set(self, link: Link) -> None:
        self.link = link
        self.changed.set()
        self.changed = asyncio.Event()

    async def change(self, seconds: float | None) -> None:
        """Wait for that long (None: for ever), or until the link changes."""
        changed = self.changed
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await changed.wait()


class _Line:
    """One direction of one connection: reads at once, writes when the link lets it."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        state: _State,
        choice: random.Random,
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.state = state
        self.random = choice
        self.under_way: asyncio.Queue[tuple[float, float, bytes]] = asyncio.Queue(CHUNKS_UNDER_WAY)

    async def read(self) -> None:
        """Take what one side sends, its end included (an empty chunk)."""
        clock = asyncio.get_running_loop()
        data = b"-"
        while data:
            data = await self.reader.read(CHUNK_BYTES)
            await self.under_way.put((clock.time(), self.random.random(), data))

    async def write(self) -> None:
        """Give it to the other side."""
        while True:
            arrived, share, data = await self.under_way.get()
            await self._due(arrived, share)
            if not data:
                self.writer.write_eof()
                return
            rest = memoryview(data)
            while rest:
                await self._due(arrived, share)
                rate = self.state.link.bytes_per_second
                size = len(rest) if rate is None else max(1, int(rate * PACE_SECONDS))
                self.writer.write(rest[:size])
                await self.writer.drain()
                if rate is not None:
                    await self.state.change(min(size, len(rest)) / rate)
                rest = rest[size:]

    async def _due(self, arrived: float, share: float) -> None:
        clock = asyncio.get_running_loop()
        while True:
            link = self.state.link
            left = arrived + link.latency_seconds + share * link.jitter_seconds - clock.time()
            if link.black_hole:
                await self.state.change(None)
            elif left > 0:
                await self.state.change(left)
            else:
                return


@dataclass(eq=False, slots=True)
class _Connection:
    """A client's connection and the one made for it to the server."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    lines: tuple[_Line, _Line]
    parted: bool = False
    carrying: asyncio.Task[None] | None = field(default=None)

    async def carry(self) -> None:
        """Carry bytes until both sides have ended; a break on one side breaks the other."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for line in self.lines:
                    tasks.create_task(line.read())
                    tasks.create_task(line.write())
        except* OSError:
            self.reset()

    def part(self, gone: Direction) -> None:
        """Reset one side and leave the other open, with nobody there to read it."""
        self.parted = True
        if self.carrying is not None:
            self.carrying.cancel()
        _reset(self.server if gone is Direction.TO_SERVER else self.client)

    def reset(self) -> None:
        """End both sides with a reset."""
        _reset(self.client)
        _reset(self.server)

    def close(self) -> None:
        """End both sides in order."""
        self.client.close()
        self.server.close()


class FaultProxy:
    """A listening proxy: ``port`` on 127.0.0.1. Every fault can be changed while connections are open."""

    def __init__(self, server: tuple[str, int], seed: int = 0) -> None:
        self.port = 0
        self._server = server
        self._random = random.Random(seed)
        self._states = {Direction.TO_SERVER: _State(), Direction.TO_CLIENT: _State()}
        self._connections: set[_Connection] = set()
        self._unserved: set[asyncio.StreamWriter] = set()
        self._refusing = False

    def set(self, link: Link, direction: Direction = Direction.BOTH) -> None:
        """From now on carry bytes like this, also those under way."""
        for each, state in self._states.items():
            if each in direction:
                state.set(link)

    def cut(self) -> None:
        """End all connections in order, and reset every new one until ``restore``."""
        self._refusing = True
        for connection in self._connections:
            connection.close()
            if connection.carrying is not None:
                connection.carrying.cancel()

    def reset(self) -> None:
        """End all connections with a TCP reset; new ones are taken."""
        for connection in self._connections:
            connection.reset()
            if connection.carrying is not None:
                connection.carrying.cancel()

    def half_open(self, gone: Direction = Direction.TO_SERVER) -> None:
        """One side of every connection is gone and the other is not told; new connections are taken."""
        for connection in self._connections:
            connection.part(gone)

    def restore(self) -> None:
        """A clean network for what is open and what comes; what was ended stays ended."""
        self._refusing = False
        self.set(Link())

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry a client's connection until it ends."""
        self._unserved.add(writer)
        writer.transport.resume_reading()  # type: ignore[attr-defined]  # a transport both ways, typed as one way
        if self._refusing:
            self._refuse(writer)
            return
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                server_reader, server_writer = await asyncio.open_connection(*self._server)
        except OSError:
            self._refuse(writer)
            return
        to_server = _Line(reader, server_writer, self._states[Direction.TO_SERVER], self._random)
        to_client = _Line(server_reader, writer, self._states[Direction.TO_CLIENT], self._random)
        connection = _Connection(writer, server_writer, (to_server, to_client))
        self._connections.add(connection)
        self._unserved.discard(writer)
        connection.carrying = asyncio.get_running_loop().create_task(connection.carry())
        try:
            await asyncio.wait([connection.carrying])
        finally:
            connection.carrying.cancel()
            if not connection.parted:
                connection.close()
                self._connections.discard(connection)

    def _refuse(self, writer: asyncio.StreamWriter) -> None:
        self._unserved.discard(writer)
        _reset(writer)

    async def close(self, serving: Sequence[asyncio.Task[None]]) -> None:
        """End every connection and wait for what was started; ``serving`` was told to end."""
        self._refusing = True
        carrying = [each.carrying for each in self._connections if each.carrying is not None]
        for task in carrying:
            task.cancel()
        writers = [*self._unserved, *(each.client for each in self._connections)]
        writers += [each.server for each in self._connections]
        for writer in writers:
            _reset(writer)
        ends = [writer.wait_closed() for writer in writers]
        await asyncio.gather(*serving, *carrying, *ends, return_exceptions=True)
        self._connections.clear()


@contextlib.asynccontextmanager
async def fault_proxy(
    port: int, host: str = "127.0.0.1", seed: int = 0, own_port: int = 0
) -> AsyncIterator[FaultProxy]:
    """A proxy before the server at ``host`` and ``port``; ``seed`` decides the jitter.

    ``own_port`` is where it listens, which may be kept free for it by a socket that shares it; 0 takes any.
    """
    proxy = FaultProxy((host, port), seed)
    listener = Listener(proxy.serve, "127.0.0.1", own_port, reuse_port=own_port != 0)
    proxy.port = listener.port
    try:
        yield proxy
    finally:
        await proxy.close(listener.end())


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close at once with a TCP reset instead of an orderly end."""
    found: socket.socket | None = writer.get_extra_info("socket")
    if found is not None and not writer.transport.is_closing():
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
