"""A nats-py client that keeps to TLS."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Any

import nats.errors
from nats.aio.client import Client


class PlainTextError(nats.errors.Error):
    """A server that offers no TLS, where it was asked for."""

    def __str__(self) -> str:
        return "nats: the server offers no TLS"


class NatsClient(Client):
    """Sends nothing to a server that offers no TLS, where a TLS context was given.

    nats-py itself takes the server's first words, which come in plain text, for the decision: whoever sits
    between could change them and read all that follows, the password first.
    """

    async def end(self, seconds: float) -> None:
        """Close, also where the server is gone or silent, within a number of seconds."""
        with contextlib.suppress(OSError, nats.errors.Error, TimeoutError):
            async with asyncio.timeout(seconds):
                await self.close()
        tasks = (self._reading_task, self._ping_interval_task, self._flusher_task, self._reconnection_task)
        left = [task for task in tasks if task is not None and task is not asyncio.current_task()]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=seconds)
        if self._transport is not None:
            self._transport.close()  # type: ignore[no-untyped-call]  # a client that was refused counts as closed, with its socket open

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        if initial_connection and "tls" in self.options and not info.get("tls_required"):
            raise PlainTextError
        await super()._process_info(info, initial_connection)


def servers(url: str) -> list[str]:
    """Each URL of several with commas between."""
    return re.split(r",(?=\w+://)", url)
