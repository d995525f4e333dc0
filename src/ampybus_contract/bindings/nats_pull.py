"""What a durable NATS consumer hands out, in stored order also where the connection breaks (D20).

What was on its way when a connection broke is lost to the client, and the server hands it out again only
when the time to acknowledge it is over. So that time is short, what is in hand is prolonged, and after a
reconnect nothing newer is handed on before what was lost has come again. The same holds for a member of a
group whose turn begins: what the member before it left comes first.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator

import nats.errors
from nats.aio.msg import Msg

from ampybus_contract.bindings.nats_requests import TURN_HEADER, NatsRequests, RefusedError
from ampybus_contract.bindings.transport import Incoming
from ampybus_contract.brokers.nats_client import NatsClient
from ampybus_contract.envelope import Envelope, Headers

BATCH = 128
FETCH_SECONDS = 1.0
AGAIN_SECONDS = 0.2
ACK_WAIT_SECONDS = 5.0
PROLONG_SECONDS = 1.5
ACK, IN_PROGRESS, NOT_DONE = b"+ACK", b"+WPI", b"-NAK"
LOG = logging.getLogger(__name__)


class NatsPull:
    """One durable consumer as this client sees it: what it holds, and what it acknowledged last.

    ``added`` is the header that the binding itself puts on messages; ``in_flight`` bounds what is held, 0 is
    for a consumer that is acknowledged nothing.
    """

    def __init__(self, client: NatsClient, requests: NatsRequests, added: str, in_flight: int) -> None:
        self.client = client
        self.requests = requests
        self.added = added
        self.connection = client.stats["reconnects"]
        self.turn = ""
        self.in_flight = in_flight
        self.missing = False
        self.held: dict[int, Msg] = {}
        self.acknowledged: deque[str] = deque(maxlen=in_flight)

    async def messages(self) -> AsyncIterator[Incoming]:
        """Message after message, until the client is closed."""
        while not self.client.is_closed:
            batch = await self._fetch(FETCH_SECONDS)
            if self._interrupted:
                batch = await self._complete(batch)
            for message in batch if self.in_flight else ():
                self.held[message.metadata.sequence.stream] = message
            for message in batch:
                yield incoming_of(message, self.added, self)

    @property
    def _interrupted(self) -> bool:
        """Whether something may be under way that is older than what came last."""
        return self.client.stats["reconnects"] != self.connection or self.requests.turn not in ("", self.turn)

    async def acknowledge(self, message: Msg) -> None:
        """Settle a message for good. What cannot be told now comes again, and is known then."""
        self.held.pop(message.metadata.sequence.stream, None)
        self.acknowledged.append(message.reply)
        with contextlib.suppress(nats.errors.Error):
            await message.ack()

    async def prolong(self) -> None:
        """Tell the server that what is in hand is being worked on."""
        for message in self._in_hand:
            await self.client.publish(message.reply, IN_PROGRESS)
        await self.requests.keep_turn()

    async def leave(self) -> None:
        """Take no more; hand the turn back, and what is in hand, which the next member gets at once."""
        with contextlib.suppress(nats.errors.Error):
            await self.requests.hand_back_turn()
            for message in self._in_hand:
                await self.client.publish(message.reply, NOT_DONE)
            await self.requests.close()

    @property
    def _in_hand(self) -> list[Msg]:
        return [*self.held.values(), *(self.requests.ready if self.in_flight else ())]

    async def _fetch(self, seconds: float) -> list[Msg]:
        try:
            return await self.requests.fetch(seconds)
        except nats.errors.Error as error:
            if isinstance(error, RefusedError) and self.in_flight:
                await self._restore()
            await asyncio.sleep(AGAIN_SECONDS)
            return []

    async def _restore(self) -> None:
        """Make a consumer that was deleted again, from the start of the stream; say so once in the log."""
        name = f"{self.requests.consumer} of the stream {self.requests.stream}"
        try:
            made = await self.requests.restore()
        except (nats.errors.Error, TimeoutError) as error:
            if not self.missing:
                LOG.error("BROKER expected the consumer %s, got %s. Fix: create the stream", name, error)
            self.missing = True
            return
        if made:
            self.held.clear()
        if made or self.missing:
            LOG.warning("The consumer %s is there again", name)
        self.missing = False

    async def _complete(self, batch: list[Msg]) -> list[Msg]:
        """A batch with what was lost before it, in stored order.

        Done when the server waits for no other acknowledgements than those of what is held here. Nothing is
        complete once the turn is over. Where the server knows no turns and others share the consumer, done
        when all that was lost must have come again.
        """
        self.connection, self.turn = self.client.stats["reconnects"], self.requests.turn
        for reply in list(self.acknowledged):
            await self.client.publish(reply, ACK)
        found = {message.metadata.sequence.stream: message for message in batch}
        clock = asyncio.get_running_loop()
        deadline = clock.time() + 2 * ACK_WAIT_SECONDS
        while self.turn or clock.time() < deadline:
            waiting = await self._unacknowledged()
            if waiting is not None and waiting <= len({*found, *self.held}):
                break
            for message in await self._fetch(AGAIN_SECONDS):
                found[message.metadata.sequence.stream] = message
            if self.requests.turn != self.turn:
                return []
        return [message for _position, message in sorted(found.items())]

    async def _unacknowledged(self) -> int | None:
        try:
            return (await self.requests.info()).num_ack_pending or 0
        except (nats.errors.Error, TimeoutError):
            return None


async def prolonging(pulls: list[NatsPull]) -> None:
    """Prolong what all of them hold, again and again."""
    while True:
        await asyncio.sleep(PROLONG_SECONDS)
        for pull in pulls:
            if pull.client.is_connected:
                await pull.prolong()


def incoming_of(message: Msg, added: str, pull: NatsPull | None = None) -> Incoming:
    """A message for the delivery rules; without a pull, nobody waits for its acknowledgement."""
    headers = dict(message.headers or {})
    headers.pop(added, None)
    headers.pop(TURN_HEADER, None)
    envelope = Envelope(message.subject, Headers(headers), message.data)

    async def acknowledge() -> None:
        if pull is not None:
            await pull.acknowledge(message)

    metadata = message.metadata
    return Incoming(metadata.sequence.stream, envelope, acknowledge, behind=metadata.num_pending)
