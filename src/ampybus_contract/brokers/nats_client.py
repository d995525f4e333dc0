"""A nats-py client that keeps to TLS."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Any

import nats.errors
from nats.aio.client import Client, Srv
from nats.aio.transport import TcpTransport

CLOSE_SECONDS = 3.0
CANCEL_SECONDS = 0.1


class PlainTextError(nats.errors.Error):
    """A server that offers no TLS, where it was asked for."""

    def __str__(self) -> str:
        return "nats: the server offers no TLS"


class NatsClient(Client):
    """Sends nothing to a server that offers no TLS, where a TLS context was given.

    nats-py itself takes the server's first words, which come in plain text, for the decision: whoever sits
    between could change them and read all that follows, the password first.
    """

    async def reach(self, url: str, seconds: float, **options: Any) -> None:
        """Connect to one of the servers that a URL names; ``options`` are those of ``connect``.

        Raises what nats-py raises, TimeoutError after that many seconds; then, and where it is cancelled,
        nothing is left open. nats-py tries in a task of its own: it swallows a cancellation that comes in the
        moment in which one of its steps is done (``asyncio.wait_for`` of Python 3.11 does).
        """
        trying = asyncio.create_task(self.connect(servers(url), **options))
        try:
            done, _ = await asyncio.wait({trying}, timeout=seconds)
            if not done:
                raise TimeoutError
            trying.result()
        except BaseException:
            while not trying.done():
                trying.cancel()
                await asyncio.wait({trying}, timeout=CANCEL_SECONDS)
            await asyncio.gather(trying, return_exceptions=True)
            await self.end(CANCEL_SECONDS)
            raise

    async def end(self, seconds: float = CLOSE_SECONDS) -> None:
        """Close, also where the server is gone or silent, within twice a number of seconds.

        Then nothing is left: neither a task nor a socket. AttributeError is what ``asyncio`` raises where the
        rest is written to TLS whose other end is gone.
        """
        listening = [each._wait_for_msgs_task for each in self._subs.values()]
        with contextlib.suppress(OSError, nats.errors.Error, TimeoutError, AttributeError):
            async with asyncio.timeout(seconds):
                await self.close()
        working = (self._reading_task, self._ping_interval_task, self._flusher_task, self._reconnection_task)
        tasks = [*working, *listening]
        left = [task for task in tasks if task is not None and task is not asyncio.current_task()]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=seconds)
        self._abort()
        await asyncio.sleep(0)

    def _abort(self) -> None:
        """Let go of the socket, which nats-py leaves open where a server refused it or was silent."""
        if isinstance(self._transport, TcpTransport):
            for writer in (self._transport._io_writer, self._transport._bare_io_writer):
                if writer is not None:
                    writer.transport.abort()

    async def _connect_to_server(self, s: Srv) -> None:
        self._abort()
        await super()._connect_to_server(s)

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        if initial_connection and "tls" in self.options and not info.get("tls_required"):
            raise PlainTextError
        await super()._process_info(info, initial_connection)


def servers(url: str) -> list[str]:
    """Each URL of several with commas between."""
    return re.split(r",(?=\w+://)", url)
