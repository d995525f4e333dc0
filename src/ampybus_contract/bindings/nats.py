"""The NATS JetStream transport (contract section 15.1, D29)."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache

import nats.errors
import nats.js.errors
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from ampybus_contract.bindings.nats_acks import NatsAcks
from ampybus_contract.bindings.nats_pull import ACK_WAIT_SECONDS, BATCH, NatsPull, incoming_of, prolonging
from ampybus_contract.bindings.nats_refusals import refused, uncovered, unreadable, unsent
from ampybus_contract.bindings.nats_requests import NatsRequests, SharedConsumer, requests
from ampybus_contract.bindings.protocol import Endpoint, Subscription
from ampybus_contract.bindings.transport import Incoming, Position, Span, nothing
from ampybus_contract.brokers.nats_client import NatsClient, PlainTextError
from ampybus_contract.brokers.tls import files_for
from ampybus_contract.contract import Contract, default_contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.errors import BrokerError

CONNECT_SECONDS = 5.0
RECONNECTS = -1
RECONNECT_SECONDS = 0.25
PUBLISH_SECONDS = 2.0
NAMES_KEPT = 1_024
READER_SECONDS = 3_600.0
READ_SECONDS = 5.0
NO_STREAM = 10059
WHOLE = ""


@dataclass(slots=True)
class _Denial:
    """What the server's words name when they deny this one act, and the words once they came.

    ``untrusted``: the act ends with a server that TLS cannot trust, too.
    """

    sign: str
    words: str = ""
    untrusted: bool = False

    def is_named_by(self, error: Exception) -> bool:
        """Whether an error that the client hears of is about this act."""
        words = str(error).lower()
        if self.untrusted and isinstance(error, ssl.SSLError | PlainTextError):
            return True
        return "violation" in words and self.sign.lower() in words


class NatsTransport:
    """Subject = topic, headers = NATS headers, deduplication by the contract's mapping."""

    encrypts = True
    shares = True

    def __init__(self, contract: Contract | None = None) -> None:
        self.contract = contract or default_contract()
        self.client: NatsClient | None = None
        self.acks: NatsAcks | None = None
        self.stream = ""
        self._refusable: dict[asyncio.Timeout, _Denial] = {}
        self._pulls: list[NatsPull] = []
        self._prolonging: asyncio.Task[None] | None = None

    @property
    def _jetstream(self) -> JetStreamContext:
        if self.client is None:
            raise BrokerError("BROKER expected an open binding, got a closed one. Fix: start it")
        return self.client.jetstream(timeout=PUBLISH_SECONDS)

    async def open(self, endpoint: Endpoint) -> None:
        """Connect, by TLS where the endpoint says so. Raises BrokerError where no server lets it in."""
        denial = _Denial("authorization violation", untrusted=True)
        tls = files_for(endpoint.url, endpoint.tls)
        context = None if tls is None else tls.context(self.contract.security.tls_minimum)
        client = NatsClient()
        async with contextlib.AsyncExitStack() as ends:
            ends.push_async_callback(client.end)
            try:
                async with self._unless(denial):
                    await client.reach(
                        endpoint.url,
                        CONNECT_SECONDS,
                        max_reconnect_attempts=RECONNECTS,
                        reconnect_time_wait=RECONNECT_SECONDS,
                        error_cb=self._hear,
                        inbox_prefix=endpoint.inbox,
                        tls=context,
                    )
                    acks = NatsAcks(client, PUBLISH_SECONDS)
                    await acks.open()
            except (OSError, nats.errors.Error, TimeoutError) as error:
                got = denial.words or type(error).__name__
                raise BrokerError(
                    f"BROKER expected a NATS server that lets this user in, got {got}. Fix: start "
                    "nats-server -js, see user, password and certificates"
                ) from error
            ends.pop_all()
        self.client, self.acks, self.stream = client, acks, endpoint.stream
        self._prolonging = asyncio.create_task(prolonging(self._pulls))

    async def _hear(self, error: Exception) -> None:
        """Take the server's words: a denial comes only here, and ends what waits for an answer to it."""
        now = asyncio.get_running_loop().time()
        for scope, denial in self._refusable.items():
            if not denial.words and denial.is_named_by(error):
                denial.words = str(error)
                scope.reschedule(now)
        if self.acks is not None:
            self.acks.deny(str(error))

    @contextlib.asynccontextmanager
    async def _unless(self, denial: _Denial) -> AsyncIterator[None]:
        """Raise TimeoutError in the block as soon as the server says the denial's words."""
        async with asyncio.timeout(None) as scope:
            self._refusable[scope] = denial
            try:
                yield
            finally:
                del self._refusable[scope]

    async def send(self, envelope: Envelope, act: str = "") -> None:
        """Store and wait for the ack. Raises PublishError: indefinite on a timeout, definite on a refusal."""
        if self.acks is None:
            raise refused("an open binding", "a closed one", "start it")
        headers = dict(envelope.headers.plain)
        rule = self.contract.nats
        if rule.deduplication_value in headers:
            headers[rule.deduplication_header] = act + headers[rule.deduplication_value].lower()
        self._refuse(headers, envelope)
        try:
            await self.acks.publish(envelope.topic, envelope.payload, headers)
        except (nats.errors.Error, TimeoutError) as error:
            raise unsent(error, PUBLISH_SECONDS) from error

    def _refuse(self, headers: dict[str, str], envelope: Envelope) -> None:
        """Refuse what NATS would change or cut the connection for."""
        values = [*headers.values()]
        if [*map(str.strip, values)] != values or not _travel(tuple(headers)):
            worst = next(
                item for item in headers.items() if not _travel(item[:1]) or item[1] != item[1].strip()
            )
            raise refused("a header that NATS keeps as it is", "{!r}: {!r}".format(*worst), "strip it")
        words = "".join([*headers, *values])
        block = len("NATS/1.0\r\n\r\n") + len(words.encode()) + len(": \r\n") * len(headers)
        block *= self.contract.nats.max_payload_counts_headers
        limit = self.client.max_payload if self.client else 0
        if block + len(envelope.payload) > limit:
            got = f"{block} + {len(envelope.payload)} bytes"
            raise refused(f"headers and payload within {limit} bytes", got, "use the pointer pattern")

    async def consume(self, subscription: Subscription) -> AsyncIterator[Incoming]:
        """Attach a durable pull consumer, whose clients take turns (nats-server 2.11 or newer).

        Raises BrokerError where the stream is not there or has other subjects, or the group's consumer has
        another pattern.
        """
        await self._see_covered(subscription.pattern)
        durable = self._durable(subscription.group)
        denial = _Denial(f".{self.stream}.")
        try:
            async with self._unless(denial):
                asked = await self._requests(
                    SharedConsumer(
                        name=durable,
                        durable_name=durable,
                        filter_subject=subscription.pattern,
                        ack_policy=AckPolicy.EXPLICIT,
                        ack_wait=ACK_WAIT_SECONDS,
                        max_ack_pending=self.contract.backpressure.in_flight,
                    )
                )
                taken = (await asked.info()).config.filter_subject
        except (nats.errors.Error, TimeoutError) as error:
            raise self._no_stream(error, denial.words) from error
        if taken != subscription.pattern:
            await asked.close()
            raise BrokerError(
                f"BROKER expected {subscription.pattern} for the consumer {durable}, got {taken}, which it "
                "was made with. Fix: take another group, or delete the consumer where nobody uses it"
            )
        pull = self._pull(asked)
        self._pulls.append(pull)
        return pull.messages()

    async def leave(self, group: str) -> None:
        """Hand back what is in hand, and the turn."""
        leaving = [pull for pull in self._pulls if pull.requests.consumer == self._durable(group)]
        for pull in leaving:
            self._pulls.remove(pull)
            await pull.leave()

    async def _requests(self, config: ConsumerConfig) -> NatsRequests:
        assert self.client is not None
        return await requests(self.client, self.stream, config, BATCH)

    def _pull(self, asked: NatsRequests, acknowledged: bool = True) -> NatsPull:
        assert self.client is not None
        rule = self.contract
        return NatsPull(
            self.client,
            asked,
            rule.nats.deduplication_header,
            rule.backpressure.in_flight if acknowledged else 0,
        )

    def _durable(self, group: str) -> str:
        return re.sub(r"[^A-Za-z0-9_-]", "_", f"{self.stream}_{group}")

    async def _see_covered(self, pattern: str) -> None:
        """Raise BrokerError where the stream has nothing under a pattern, whatever is published.

        So does no answer. A user who may not ask for the stream's subjects is let go on, and a missing stream
        is not seen here.
        """
        assert self.client is not None
        denial = _Denial(f"STREAM.INFO.{self.stream}")
        try:
            async with self._unless(denial):
                found = await self.client.jetstream(timeout=READ_SECONDS).stream_info(self.stream)
        except (nats.errors.Error, TimeoutError) as error:
            if isinstance(error, TimeoutError) and not denial.words:
                raise self._no_stream(error) from error
            return
        wrong = uncovered(self.stream, found.config.subjects or [], pattern)
        if wrong is not None:
            raise wrong

    def _no_stream(self, error: Exception, denied: str = "") -> BrokerError:
        return unreadable(f"the stream {self.stream}", error, denied)

    async def lag(self, group: str) -> int:
        """Pending and unacknowledged, as the server tells, 0 for a group that it does not know.

        Raises BrokerError where it does not tell, or the stream is not there.
        """
        try:
            info = await self._jetstream.consumer_info(self.stream, self._durable(group))
        except nats.js.errors.NotFoundError as error:
            if error.err_code == NO_STREAM:
                raise self._no_stream(error) from error
            return 0
        except (nats.errors.Error, TimeoutError) as error:
            raise unreadable(f"the state of {group}", error) from error
        return (info.num_pending or 0) + (info.num_ack_pending or 0)

    async def read(self, pattern: str, span: Span) -> AsyncIterator[Incoming]:
        """By a consumer of its own, from the first message stored in the span; gone after the last one.

        Raises BrokerError where the stream is not there, or does not give what it holds.
        """
        config = ConsumerConfig(
            filter_subject=pattern,
            ack_policy=AckPolicy.NONE,
            deliver_policy=DeliverPolicy.ALL,
            inactive_threshold=READER_SECONDS,
        )
        if span.start is not None:
            moment = datetime.fromtimestamp(span.start / 1e9, UTC)
            config = replace(config, deliver_policy=DeliverPolicy.BY_START_TIME, opt_start_time=moment)
        try:
            asked = await self._requests(config)
            try:
                left = (await asked.info()).num_pending or 0
                while left > 0:
                    found = await asked.fetch(READ_SECONDS)
                    if not found:
                        raise TimeoutError
                    for message in found[:left]:
                        left -= 1
                        stored = message.metadata.timestamp.timestamp() * 1e9
                        if span.end is not None and stored > span.end:
                            return
                        yield incoming_of(message, self.contract.nats.deduplication_header)
            finally:
                await asked.close()
                await self._jetstream.delete_consumer(self.stream, asked.consumer)
        except (nats.errors.Error, TimeoutError) as error:
            raise unreadable(f"to read {self.stream}", error) from error

    async def follow(self, pattern: str, after: Mapping[str, int]) -> AsyncIterator[Incoming]:
        """By a consumer that nothing is acknowledged to; the server drops it some time after the last pull.

        After a reconnect by another one, which begins where this one ended. The stream is one part, numbered
        by its sequence. Raises BrokerError where the stream is not there or has other subjects.
        """
        await self._see_covered(pattern)
        last = after.get(WHOLE)
        while True:
            pull = self._pull(await self._from(pattern, last), acknowledged=False)
            connection = pull.connection
            async for incoming in pull.messages():
                if pull.connection != connection:
                    break
                assert isinstance(incoming.position, int)
                last = incoming.position
                yield replace(incoming, position=Position(WHOLE, last), ack=nothing)
            else:
                return

    async def _from(self, pattern: str, after: int | None) -> NatsRequests:
        config = ConsumerConfig(
            filter_subject=pattern, ack_policy=AckPolicy.NONE, inactive_threshold=READER_SECONDS
        )
        if after is not None:
            config = replace(config, deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=after + 1)
        try:
            return await self._requests(config)
        except (nats.errors.Error, TimeoutError) as error:
            raise self._no_stream(error) from error

    async def close(self) -> None:
        """Disconnect, within seconds also from a server that is gone."""
        client, acks = self.client, self.acks
        self.client = self.acks = None
        if acks is not None:
            acks.close()
        task, self._prolonging = self._prolonging, None
        self._pulls.clear()
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if client is not None:
            await client.end()


@lru_cache(maxsize=NAMES_KEPT)
def _travel(names: tuple[str, ...]) -> bool:
    """Whether NATS keeps the names of headers as they are."""
    return not any(not name or re.search(r"[\s:]", name) for name in names)
