"""Publishes to JetStream, many at a time, each with the server's answer to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from itertools import count

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

NO_RESPONDERS = "503"


class NatsAcks:
    """One inbox for all answers, a token each.

    ``publish_async`` of nats-py 2.16 is not used: it drops the answers in which the server refuses a message,
    so that a definite failure would look like a lost ack.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.inbox = client.new_inbox()
        self.tokens = count()
        self.waiting: dict[str, asyncio.Future[None]] = {}

    async def open(self) -> None:
        """Listen for answers; the client listens again after a reconnect."""
        await self.client.subscribe(f"{self.inbox}.*", cb=self._hear)

    async def publish(self, topic: str, payload: bytes, headers: dict[str, str]) -> None:
        """Send, and wait for the answer for as long as the caller lets it.

        Raises what nats-py raises: NoStreamResponseError where nothing takes the topic, APIError where the
        stream refuses the message.
        """
        token = str(next(self.tokens))
        answer = self.waiting[token] = asyncio.get_running_loop().create_future()
        try:
            await self.client.publish(topic, payload, reply=f"{self.inbox}.{token}", headers=headers)
            await answer
        finally:
            del self.waiting[token]

    def close(self) -> None:
        """Tell who waits that no answer comes any more."""
        for answer in self.waiting.values():
            if not answer.done():
                answer.set_exception(nats.errors.ConnectionClosedError())

    async def _hear(self, message: Msg) -> None:
        answer = self.waiting.get(message.subject.rpartition(".")[2])
        if answer is None or answer.done():
            return
        failure = _failure(message)
        if failure is None:
            answer.set_result(None)
        else:
            answer.set_exception(failure)


def _failure(message: Msg) -> Exception | None:
    if message.headers and message.headers.get("Status") == NO_RESPONDERS:
        return nats.js.errors.NoStreamResponseError()
    with contextlib.suppress(ValueError):
        told = json.loads(message.data)
        try:
            if "error" in told:
                nats.js.errors.APIError.from_error(told["error"])
        except nats.js.errors.APIError as error:
            return error
        return None
    return nats.js.errors.APIError(description="an answer that is no JSON")
