"""A nats-py client that keeps to TLS."""

from __future__ import annotations

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

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        if initial_connection and "tls" in self.options and not info.get("tls_required"):
            raise PlainTextError
        await super()._process_info(info, initial_connection)


def servers(url: str) -> list[str]:
    """Each URL of several with commas between."""
    return re.split(r",(?=\w+://)", url)
