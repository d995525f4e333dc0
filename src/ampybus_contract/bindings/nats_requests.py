"""Asking a JetStream consumer for messages.

``fetch`` of nats-py starts two tasks for every message; here one request brings many, and the next one is on
its way before the last is used up.

Where the members of a group share a consumer, one of them has the turn and gets everything, so that keys
keep their order; the others ask and wait. The server names the turn on each message (its pin, from version
2.11 on), and gives it to another member when it is handed back, or nothing was asked for in ``TURN_SECONDS``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from itertools import count
from uuid import uuid4

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import ConsumerConfig, ConsumerInfo
from nats.js.errors import NotFoundError

NO_MESSAGES, EXPIRED, NOT_YOUR_TURN = "404", "408", "423"
TURN_HEADER = "Nats-Pin-Id"
TURN_GROUP = "turn"
TURN_SECONDS = 3.0
HAND_BACK_SECONDS = 1.0
EXPIRES_SECONDS = 1.0
LATE_SECONDS = 0.5
LOOK_SECONDS = 0.2
NO_LIMIT = 0
NEXT = "$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
UNPIN = "$JS.API.CONSUMER.UNPIN.{stream}.{consumer}"


@dataclass
class SharedConsumer(ConsumerConfig):
    """The settings of a consumer whose clients take turns; nats-py has no names for them."""

    priority_groups: list[str] = field(default_factory=lambda: [TURN_GROUP])
    priority_policy: str = "pinned_client"
    priority_timeout: int = int(TURN_SECONDS * 1e9)


class RefusedError(nats.errors.Error):
    """The server ended a request for a reason of its own: the consumer is gone, or its leader."""


@dataclass(slots=True)
class _Request:
    """What one request may still bring, and when it is over by the clock of the loop."""

    left: int
    until: float


class NatsRequests:
    """Requests to one consumer, of ``batch`` messages each; what came waits in ``ready``."""

    def __init__(
        self, client: Client, stream: str, consumer: str, batch: int, config: ConsumerConfig
    ) -> None:
        self.client = client
        self.stream = stream
        self.consumer = consumer
        self.batch = batch
        self.config = config
        self.subject = NEXT.format(stream=stream, consumer=consumer)
        self.inbox = client.new_inbox()
        self.tokens = count()
        self.open: dict[str, _Request] = {}
        self.connection = client.stats["reconnects"]
        self.ready: list[Msg] = []
        self.refusal = ""
        self.turn = ""
        self.news = asyncio.Event()
        self.subscription: Subscription | None = None

    async def start(self) -> None:
        """Listen; the client listens again after a reconnect."""
        self.subscription = await self.client.subscribe(
            f"{self.inbox}.*", cb=self._hear, pending_bytes_limit=NO_LIMIT
        )

    async def close(self) -> None:
        """Listen no more."""
        if self.subscription is not None:
            await self.subscription.unsubscribe()

    async def keep_turn(self) -> None:
        """Ask for one more message: a client that asks for nothing loses its turn."""
        if self.turn and not self.client.is_reconnecting:
            await self._request(1, asyncio.get_running_loop().time())

    async def hand_back_turn(self) -> None:
        """Let the server give the turn to another client, which it otherwise does after some time."""
        subject = UNPIN.format(stream=self.stream, consumer=self.consumer)
        if self.turn:
            with contextlib.suppress(nats.errors.Error, TimeoutError):
                wish = json.dumps({"group": TURN_GROUP}).encode()
                await self.client.request(subject, wish, timeout=HAND_BACK_SECONDS)

    async def info(self) -> ConsumerInfo:
        """The server's view of the consumer. Raises what nats-py raises."""
        found: ConsumerInfo = await self.client.jetstream().consumer_info(self.stream, self.consumer)
        return found

    async def restore(self) -> bool:
        """Make the consumer again where it is gone; whether it was. Raises what nats-py raises."""
        try:
            await self.info()
        except NotFoundError:
            await self.client.jetstream().add_consumer(self.stream, self.config, name=self.consumer)
            return True
        return False

    async def fetch(self, seconds: float) -> list[Msg]:
        """All that is here, at least one message; empty after ``seconds``.

        Raises RefusedError where the server will bring nothing, ConnectionClosedError once closed.
        """
        clock = asyncio.get_running_loop()
        deadline = clock.time() + seconds
        while True:
            await self._ask(clock.time())
            if self.ready:
                found, self.ready = self.ready, []
                return found
            if self.refusal:
                refusal, self.refusal = self.refusal, ""
                raise RefusedError(refusal)
            if clock.time() >= deadline:
                return []
            self.news.clear()
            try:
                async with asyncio.timeout_at(min(deadline, clock.time() + LOOK_SECONDS)):
                    await self.news.wait()
            except TimeoutError:
                continue

    async def _ask(self, now: float) -> None:
        """Ask for more where less than half a batch is here or under way; a lost request is forgotten."""
        if self.client.stats["reconnects"] != self.connection:
            self.connection = self.client.stats["reconnects"]
            self.open.clear()
        for token in [token for token, request in self.open.items() if request.until < now]:
            del self.open[token]
        coming = len(self.ready) + sum(request.left for request in self.open.values())
        if coming > self.batch // 2 or self.client.is_reconnecting:
            return
        await self._request(self.batch, now)

    async def _request(self, batch: int, now: float) -> None:
        token = str(next(self.tokens))
        self.open[token] = _Request(batch, now + EXPIRES_SECONDS + LATE_SECONDS)
        wish = {"batch": batch, "expires": int(EXPIRES_SECONDS * 1e9), "group": TURN_GROUP}
        if self.turn:
            wish["id"] = self.turn
        await self.client.publish(self.subject, json.dumps(wish).encode(), reply=f"{self.inbox}.{token}")

    async def _hear(self, message: Msg) -> None:
        token = message.subject.removeprefix(f"{self.inbox}.")
        if token == message.subject:
            self.turn = (message.headers or {}).get(TURN_HEADER, "")
            self.ready.append(message)
            self._count()
        else:
            self.open.pop(token, None)
            status = (message.headers or {}).get("Status", "")
            if status == NOT_YOUR_TURN:
                self.turn = ""
            elif status not in (NO_MESSAGES, EXPIRED):
                told = (message.headers or {}).get("Description", "")
                self.refusal = f"{status} {told}".strip()
        self.news.set()

    def _count(self) -> None:
        """The server serves the oldest request first."""
        for token, request in self.open.items():
            request.left -= 1
            if request.left == 0:
                del self.open[token]
            return


async def requests(client: Client, stream: str, config: ConsumerConfig, batch: int) -> NatsRequests:
    """Requests to a consumer, made as ``config`` says where there is none of its name, or it has no name.

    Raises what nats-py raises.
    """
    made = NatsRequests(client, stream, config.name or uuid4().hex, batch, config)
    await made.restore()
    await made.start()
    return made
