"""Publishes to JetStream, many at a time, each with the server's answer to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from itertools import count

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

NO_RESPONDERS = "503"


class DeniedError(nats.errors.Error):
    """The server denied a publish, in the words that this error holds."""


@dataclass(slots=True, frozen=True)
class _Waiting:
    """One publish: where to, until when by the clock of the loop, and its answer."""

    topic: str
    until: float
    answer: asyncio.Future[None]


class NatsAcks:
    """One inbox for all answers, a token each, and one timer: all wait equally long.

    ``publish_async`` of nats-py 2.16 is not used: it drops the answers in which the server refuses a message,
    so that a definite failure would look like a lost ack.
    """

    def __init__(self, client: Client, seconds: float) -> None:
        self.client = client
        self.seconds = seconds
        self.inbox = client.new_inbox()
        self.tokens = count()
        self.waiting: dict[str, _Waiting] = {}
        self.timer: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Listen for answers; the client listens again after a reconnect."""
        await self.client.subscribe(f"{self.inbox}.*", cb=self._hear)

    async def publish(self, topic: str, payload: bytes, headers: dict[str, str]) -> None:
        """Send, and wait for the answer.

        Raises what nats-py raises, NoStreamResponseError where nothing takes the topic, APIError where the
        stream refuses the message; DeniedError; TimeoutError where no answer comes.
        """
        loop = asyncio.get_running_loop()
        token = str(next(self.tokens))
        waiting = self.waiting[token] = _Waiting(topic, loop.time() + self.seconds, loop.create_future())
        if self.timer is None:
            self.timer = loop.call_at(waiting.until, self._expire)
        try:
            await self.client.publish(topic, payload, reply=f"{self.inbox}.{token}", headers=headers)
            await waiting.answer
        finally:
            del self.waiting[token]

    def deny(self, words: str) -> None:
        """End the publishes that these words of the server deny."""
        if "violation" in words.lower():
            for waiting in self.waiting.values():
                if f'publish to "{waiting.topic}"'.lower() in words.lower():
                    _end(waiting, DeniedError(words))

    def close(self) -> None:
        """Tell who waits that no answer comes any more."""
        for waiting in self.waiting.values():
            _end(waiting, nats.errors.ConnectionClosedError())
        if self.timer is not None:
            self.timer.cancel()

    def _expire(self) -> None:
        """End what has waited long enough, and look again when the next one has."""
        loop, self.timer = asyncio.get_running_loop(), None
        for waiting in self.waiting.values():
            if waiting.until > loop.time():
                self.timer = loop.call_at(waiting.until, self._expire)
                break
            _end(waiting, TimeoutError())

    async def _hear(self, message: Msg) -> None:
        waiting = self.waiting.get(message.subject.rpartition(".")[2])
        if waiting is None:
            return
        failure = _failure(message)
        if failure is not None:
            _end(waiting, failure)
        elif not waiting.answer.done():
            waiting.answer.set_result(None)


def _end(waiting: _Waiting, failure: Exception) -> None:
    """With a failure, which is no news to anyone where the sending itself failed first."""
    if not waiting.answer.done():
        waiting.answer.set_exception(failure)
        waiting.answer.exception()


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
