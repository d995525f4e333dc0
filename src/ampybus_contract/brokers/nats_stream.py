"""A NATS server, ours or a given one, as a broker for runs: a stream each, and a plain client as probe."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any, Protocol, TypeVar

import nats.errors
import nats.js.errors
from nats.js import JetStreamContext

from ampybus_contract.brokers.endpoint import Endpoint
from ampybus_contract.brokers.levers import LEVERS
from ampybus_contract.brokers.location import without_credentials
from ampybus_contract.brokers.nats_client import NatsClient
from ampybus_contract.brokers.nats_fit import unfit
from ampybus_contract.brokers.nats_settings import durability
from ampybus_contract.brokers.tls import TlsFiles, files_for
from ampybus_contract.contract import default_contract
from ampybus_contract.contract.chapters import NatsMapping
from ampybus_contract.envelope import Envelope, Headers
from ampybus_contract.errors import BrokerError

T = TypeVar("T")
CONNECT_SECONDS = 5
READ_SECONDS = 5.0
READY_SECONDS = 15.0
GAPS = {
    "partitions": "a stream is not split",
    "cluster": "it is not a cluster of the run's own; embedded:nats-cluster is",
    "proxy": "its certificate is not for the address of a proxy",
    "tls": "it was reached by plain text; embedded:nats-tls and tls:// URLs are not",
    "mtls": "it lets clients in that have no certificate",
    "rotation": "its certificates are not the run's own",
    "restart": "its process is not the run's own",
    "pause": "its process is not the run's own",
}
RECONNECTS = 600
RECONNECT_SECONDS = 0.05


class ServerProcess(Protocol):
    """A server that is the run's own."""

    def kill(self) -> None:
        """End it at once."""

    def restart(self) -> None:
        """Start it again where it was."""

    def pause(self) -> None:
        """Stop it where it is."""

    def resume(self) -> None:
        """Let it go on."""

    def renew_certificates(self) -> None:
        """Give it other certificates, and its clients."""


class NatsProbe:
    """Reads and writes one stream with nats-py alone."""

    def __init__(
        self,
        jetstream: JetStreamContext,
        stream: str,
        subjects: Sequence[str],
        server: ServerProcess | None = None,
        mapping: NatsMapping | None = None,
    ) -> None:
        self.jetstream = jetstream
        self.mapping = mapping or default_contract().nats
        self.unmapped: Mapping[int, str] = {}
        self.client = jetstream._nc
        self.server = server
        self.stream = stream
        self.subjects = subjects

    async def inject(self, envelope: Envelope) -> None:
        """Publish without ``Nats-Msg-Id``, so that the server takes duplicates for what they are."""
        with broker_errors():
            await self.jetstream.publish(envelope.topic, envelope.payload, headers=dict(envelope.headers))

    def unfit(self, envelope: Envelope) -> str:
        """By the rules of subjects, headers and ``max_payload``."""
        prefix, _, _ = self.subjects[0].partition(".")
        return unfit(envelope, prefix, self.mapping.deduplication_header, self.client.max_payload)

    async def stored(self) -> list[Envelope]:
        """Everything in the stream."""
        with broker_errors():
            return await self._stored()

    async def renew_certificates(self) -> None:
        """By new files and a signal. Raises BrokerError where the server is not the run's own."""
        await asyncio.to_thread(self._own.renew_certificates)

    async def kill(self) -> None:
        """By a signal. Raises BrokerError where the server is not the run's own."""
        await asyncio.to_thread(self._own.kill)

    async def restart(self) -> None:
        """On the same port; the probe's own client is back when this returns."""
        await asyncio.to_thread(self._own.restart)
        with broker_errors():
            async with asyncio.timeout(READY_SECONDS):
                while not await self._answers():
                    await asyncio.sleep(RECONNECT_SECONDS)

    async def _answers(self) -> bool:
        try:
            await self.jetstream.stream_info(self.stream)
        except (nats.errors.Error, TimeoutError):
            return False
        return True

    async def pause(self) -> None:
        """By a signal."""
        self._own.pause()

    async def go_on(self) -> None:
        """By a signal."""
        self._own.resume()

    @property
    def _own(self) -> ServerProcess:
        if self.server is None:
            raise BrokerError("BROKER expected a server of the run's own, got a given one. Fix: use embedded")
        return self.server

    async def now(self) -> int:
        """This machine's time, which a server elsewhere shares within the slack of a lookup."""
        return time.time_ns()

    async def accept_only(self, patterns: Sequence[str] | None) -> None:
        """By the subjects of the stream."""
        await self._update(subjects=list(patterns or self.subjects))

    async def lose_acks(self, lost: bool) -> None:
        """By a stream that acknowledges nothing."""
        await self._update(no_ack=lost)

    async def duplicate_window(self, seconds: float) -> None:
        """By the setting of the stream; the server takes 0.1 s or more."""
        await self._update(duplicate_window=seconds)

    async def redeliver_after(self, seconds: float) -> None:
        """By the ack wait of every consumer there is."""
        with broker_errors():
            for info in await self.jetstream.consumers_info(self.stream):
                await self._acknowledged_within(info.name, seconds)

    async def _acknowledged_within(self, consumer: str, seconds: float) -> None:
        """Change the ack wait and nothing else, of the settings that nats-py does not know either."""
        place = f"{self.stream}.{consumer}"
        told = await self.client.request(f"$JS.API.CONSUMER.INFO.{place}", timeout=READ_SECONDS)
        config = json.loads(told.data)["config"] | {"ack_wait": round(seconds * 1e9)}
        wish = json.dumps({"stream_name": self.stream, "config": config}).encode()
        answer = await self.client.request(
            f"$JS.API.CONSUMER.DURABLE.CREATE.{place}", wish, timeout=READ_SECONDS
        )
        error = json.loads(answer.data).get("error")
        if error is not None:
            raise BrokerError(
                f"BROKER expected to change a consumer, got {error['description']}. Fix: use another server"
            )

    async def held(self) -> int:
        """Unacknowledged, of the consumer that has most."""
        with broker_errors():
            infos = await self.jetstream.consumers_info(self.stream)
        return max((info.num_ack_pending or 0 for info in infos), default=0)

    async def backlog(self) -> int:
        """Pending and unacknowledged, over all consumers."""
        with broker_errors():
            infos = await self.jetstream.consumers_info(self.stream)
        return sum((info.num_pending or 0) + (info.num_ack_pending or 0) for info in infos)

    async def _update(self, **settings: Any) -> None:
        with broker_errors():
            config = (await self.jetstream.stream_info(self.stream)).config
            await self.jetstream.update_stream(replace(config, **settings))

    async def _stored(self) -> list[Envelope]:
        last = (await self.jetstream.stream_info(self.stream)).state.last_seq
        found: list[Envelope] = []
        unmapped: dict[int, str] = {}
        marker = self.mapping.deduplication_header
        if last:
            reader = await self.jetstream.subscribe(">", stream=self.stream, ordered_consumer=True)
            while True:
                message = await reader.next_msg(timeout=READ_SECONDS)
                headers = {name: str(value) for name, value in (message.headers or {}).items()}
                marked, identity = headers.pop(marker, ""), headers.get(self.mapping.deduplication_value, "")
                if not marked.lower().endswith(identity.lower()):
                    unmapped[len(found)] = f"{marker} should hold {identity}, it holds {marked or 'nothing'}"
                found.append(Envelope(message.subject, Headers(headers), message.data))
                if message.metadata.sequence.stream >= last:
                    break
            await reader.unsubscribe()
        self.unmapped = unmapped
        return found


class NatsSource:
    """A server by URL. Makes and deletes streams of its own and touches no others."""

    replicas = 1

    def __init__(
        self,
        url: str,
        prefix: str,
        name: str,
        tls: TlsFiles | None = None,
        tls_minimum: str = "",
        server: ServerProcess | None = None,
        mapping: NatsMapping | None = None,
    ) -> None:
        self.mapping = mapping
        self.gaps: Mapping[str, str] = GAPS
        self.server = server
        self.comes_back = server is not None
        self.url = url
        self.tls = files_for(url, tls)
        self.levers = LEVERS | {"groups", "member_expiry", "size_limit"}
        self.levers |= {"proxy"} if self.tls is None or server is not None else set()
        self.levers |= {"restart", "pause"} if server is not None else set()
        self.tls_minimum = tls_minimum
        self.prefix = prefix
        self.name = name
        self.settings: Mapping[str, str] = {"url": without_credentials(url)}

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run in real time."""
        return asyncio.run(main)

    def verify(self) -> None:
        """Connect and ask for JetStream once. Raises BrokerError, with what to do, where either fails."""
        self.settings = self.run(self._verify())

    def ask_durability(self) -> None:
        """Add to the settings what the server tells of them. Raises BrokerError where it is gone."""
        self.settings = {**self.settings, **self.run(self._durability())}

    async def _durability(self) -> Mapping[str, str]:
        async with self._client() as client:
            return await durability(client, self.replicas)

    async def _verify(self) -> Mapping[str, str]:
        async with self._client() as client:
            try:
                await client.jetstream(timeout=CONNECT_SECONDS).account_info()
            except (nats.errors.Error, TimeoutError) as error:
                raise BrokerError(
                    f"BROKER expected JetStream at {without_credentials(self.url)}, the server has none "
                    "for this account. Fix: start nats-server with -js"
                ) from error
            if self.tls is not None:
                self.levers |= {"tls"} | ({"rotation"} if self.server is not None else set())
                if not await self._open_to_all():
                    self.levers |= {"mtls"}
            return {
                "url": without_credentials(self.url),
                "version": str(client.connected_server_version).strip("<>"),
                "max payload": f"{client.max_payload} bytes",
                **({} if self.tls is None else {"tls": f"{self.tls_minimum} or newer"}),
                **({"client certificate": "required"} if "mtls" in self.levers else {}),
            }

    async def _open_to_all(self) -> bool:
        """Whether clients without a certificate are let in."""
        assert self.tls is not None
        try:
            async with self._client(replace(self.tls, certificate=None, key=None)):
                return True
        except BrokerError:
            return False

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[tuple[Endpoint, NatsProbe]]:
        """A new stream over all topics of the contract."""
        name = f"AMPYBUS_{secrets.token_hex(6)}"
        async with self._client() as client:
            jetstream = client.jetstream(timeout=READ_SECONDS)
            try:
                await self._add(jetstream, name)
            except nats.js.errors.APIError as error:
                raise BrokerError(
                    f"BROKER expected a server on which no stream covers {self.prefix}.>, got: "
                    f"{error.description}. Fix: use an account or a server of its own for conformance runs"
                ) from error
            try:
                probe = self._probe(jetstream, name)
                yield Endpoint(await self._entrance(probe), name, tls=self.tls), probe
            finally:
                with broker_errors():
                    await jetstream.delete_stream(name)

    async def _add(self, jetstream: JetStreamContext, name: str) -> None:
        await jetstream.add_stream(name=name, subjects=[f"{self.prefix}.>"], num_replicas=self.replicas)

    def _probe(self, jetstream: JetStreamContext, name: str) -> NatsProbe:
        return NatsProbe(jetstream, name, [f"{self.prefix}.>"], self.server, self.mapping)

    async def _entrance(self, _probe: NatsProbe) -> str:
        """The URL that a binding is given."""
        return self.url

    @asynccontextmanager
    async def _client(self, tls: TlsFiles | None = None) -> AsyncIterator[NatsClient]:
        async def quiet(_error: Exception) -> None:
            """The cause is in the exception that connect raises."""

        client, tls = NatsClient(), tls or self.tls
        try:
            await client.reach(
                self.url,
                CONNECT_SECONDS,
                allow_reconnect=self.comes_back,
                max_reconnect_attempts=RECONNECTS if self.comes_back else 1,
                reconnect_time_wait=RECONNECT_SECONDS,
                error_cb=quiet,
                tls=None if tls is None else tls.context(self.tls_minimum),
            )
        except (OSError, nats.errors.Error, TimeoutError) as error:
            raise BrokerError(
                f"BROKER expected a NATS server at {without_credentials(self.url)}, got "
                f"{type(error).__name__}. Fix: start one, or use --ampybus-broker embedded"
            ) from error
        try:
            yield client
        finally:
            await client.end()


@contextmanager
def broker_errors() -> Iterator[None]:
    """Raise BrokerError for what nats-py raises where the server does not answer as it should."""
    try:
        yield
    except (nats.errors.Error, TimeoutError) as error:
        raise BrokerError(
            f"BROKER expected the server to answer, got {type(error).__name__}: {error}. "
            "Fix: see that it runs"
        ) from error
