"""A listening socket none of whose connections outlives it.

``asyncio.start_server`` leaves open what it took in the last moments before it was closed: nobody cancels
its own tasks, and one that is cancelled before its first step never closes what it was made for.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Listener:
    """Listens at once, at ``host`` and ``port`` (0 takes any), and serves each connection in a task.

    A connection comes with its reading paused, so that who serves it may begin TLS before the first byte, or
    resume it. It is his to close, also when he is cancelled. ``reuse_port`` shares the port with a socket
    that keeps it free. Raises OSError where the port cannot be had.
    """

    def __init__(self, serve: Serve, host: str, port: int = 0, reuse_port: bool = False) -> None:
        self._serve = serve
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._untaken: set[socket.socket] = set()
        self._socket = socket.create_server((host, port), reuse_port=reuse_port)
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        self._loop.add_reader(self._socket, self._accept)

    def end(self) -> list[asyncio.Task[None]]:
        """Take no more, close what nobody serves yet, cancel the others; gives their tasks to wait for."""
        self._loop.remove_reader(self._socket)
        self._socket.close()
        for connection in self._untaken:
            connection.close()
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        return tasks

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError, InterruptedError, ConnectionAbortedError):
            connection, _address = self._socket.accept()
            self._untaken.add(connection)
            task = self._loop.create_task(self._take(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _take(self, connection: socket.socket) -> None:
        self._untaken.discard(connection)
        reader = asyncio.StreamReader()
        made: asyncio.Future[asyncio.StreamWriter] = self._loop.create_future()

        def pause(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert isinstance(writer.transport, asyncio.ReadTransport)
            writer.transport.pause_reading()
            made.set_result(writer)

        protocol = asyncio.StreamReaderProtocol(reader, pause)
        await self._loop.connect_accepted_socket(lambda: protocol, connection)
        await self._serve(reader, await made)
