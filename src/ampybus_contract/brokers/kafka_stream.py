"""A Kafka cluster, ours or a given one, as a broker for runs: topics each, and plain clients as probe."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code

from ampybus_contract.brokers.endpoint import Endpoint
from ampybus_contract.brokers.kafka_address import KafkaAddress
from ampybus_contract.brokers.kafka_backlog import backlog
from ampybus_contract.brokers.kafka_fit import unfit
from ampybus_contract.brokers.kafka_server import KafkaServer
from ampybus_contract.brokers.levers import LEVERS
from ampybus_contract.brokers.location import without_credentials
from ampybus_contract.brokers.tls import TlsFiles, files_for
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope, Headers
from ampybus_contract.errors import BrokerError

T = TypeVar("T")
CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 15.0
READ_SECONDS = 10.0
READY_SECONDS = 30.0
AGAIN_SECONDS = 0.1
PARTITIONS = 3
NO_LEVER = "the Kafka probe cannot bring it about"
NO_FAULTS = {
    "cluster": "its servers are not the run's own, or only one",
    "proxy": "it sends its clients to the address that it advertises",
    "restart": "its process is not the run's own",
    "pause": "its process is not the run's own",
}
LARGEST_BYTES = 16 * 1_048_576
SHOWN = {
    "message.max.bytes": "max message bytes",
    "default.replication.factor": "replicas",
    "min.insync.replicas": "in sync at least",
    "log.flush.interval.messages": "flush after messages",
    "log.flush.interval.ms": "flush after ms",
    "log.retention.ms": "retention ms",
}


class KafkaTopics:
    """The Kafka topics of one run: made before it, more when asked, deleted after it."""

    def __init__(self, admin: AIOKafkaAdminClient, prefix: str, replicas: int) -> None:
        self.admin = admin
        self.prefix = prefix
        self.replicas = replicas
        self.names: set[str] = set()

    async def create(self, families: Iterable[str]) -> None:
        """Create the topics that are not there yet. Raises BrokerError where the cluster refuses."""
        wanted = [
            name for name in (f"{self.prefix}{family}" for family in families) if name not in self.names
        ]
        if not wanted:
            return
        answer = await self.admin.create_topics(
            [NewTopic(name, PARTITIONS, self.replicas) for name in wanted],
            timeout_ms=int(ANSWER_SECONDS * 1000),
        )
        for name, code, *words in answer.topic_errors:
            if code:
                raise BrokerError(
                    f"BROKER expected to create the Kafka topic {name}, got {for_code(code).__name__} "
                    f"{words[0] if words and words[0] else ''}. Fix: give a user that may create topics"
                )
        self.names.update(wanted)

    async def delete(self) -> None:
        """Delete all of them."""
        await self.admin.delete_topics(sorted(self.names), timeout_ms=int(ANSWER_SECONDS * 1000))


class KafkaProbe:
    """Reads and writes one run's topics with aiokafka alone."""

    def __init__(
        self,
        contract: Contract,
        topics: KafkaTopics,
        producer: AIOKafkaProducer,
        consumer: AIOKafkaConsumer,
        server: KafkaServer | None = None,
    ) -> None:
        self.server = server
        self.rule = contract.kafka
        self.tokens = len(contract.kafka.topic.split("."))
        self.largest = contract.payload.sent_below
        self.topics = topics
        self.producer = producer
        self.consumer = consumer
        self.read: dict[TopicPartition, int] = {}
        self.found: list[Envelope] = []
        self.unmapped: dict[int, str] = {}
        self.partitions: list[int] = []

    async def inject(self, envelope: Envelope) -> None:
        """Store as it is; a topic that is not there is made first."""
        family = ".".join(envelope.topic.split(".")[: self.tokens])
        key = envelope.headers.get(self.rule.key)
        headers = {**envelope.headers, self.rule.topic_header: envelope.topic}
        with _broker_errors():
            await self.topics.create([family])
            async with asyncio.timeout(ANSWER_SECONDS):
                await self.producer.send_and_wait(
                    f"{self.topics.prefix}{family}",
                    envelope.payload,
                    key=None if key is None else key.encode(),
                    headers=[(name, value.encode()) for name, value in headers.items()],
                )

    def unfit(self, envelope: Envelope) -> str:
        """By the rules of topics and headers, and by the size that the contract lets a payload have."""
        return unfit(envelope, self.tokens, self.rule.topic_header, self.largest)

    @property
    def link(self) -> tuple[int, int]:
        """By a listener of its own. Raises BrokerError where the server has none."""
        if self._own.link is None:
            raise BrokerError("BROKER expected a listener for links, got none. Fix: use embedded:kafka")
        return self._own.link

    async def kill(self) -> None:
        """By a signal. Raises BrokerError where the server is not the run's own."""
        await asyncio.to_thread(self._own.kill)

    async def restart(self) -> None:
        """On the same ports; the probe's own clients are back when this returns."""
        await asyncio.to_thread(self._own.restart)
        with _broker_errors():
            async with asyncio.timeout(READY_SECONDS):
                while not await self._answers():
                    await asyncio.sleep(AGAIN_SECONDS)

    async def _answers(self) -> bool:
        try:
            await self.consumer.end_offsets(self.read)
        except KafkaError:
            return False
        return True

    async def pause(self) -> None:
        """By a signal."""
        self._own.pause()

    async def go_on(self) -> None:
        """By a signal."""
        self._own.resume()

    @property
    def _own(self) -> KafkaServer:
        if self.server is None:
            raise BrokerError("BROKER expected a server of the run's own, got a given one. Fix: use embedded")
        return self.server

    async def redeliver_after(self, seconds: float) -> None:
        """Nothing to change: what a member was handed comes again once it is out of its group."""

    async def backlog(self) -> int:
        """Not committed, over all groups of the run."""
        with _broker_errors():
            async with asyncio.timeout(ANSWER_SECONDS):
                ends = await self.consumer.end_offsets(self._every())
                return await backlog(self.topics.admin, self.topics.prefix, ends)

    def _every(self) -> list[TopicPartition]:
        return [TopicPartition(name, number) for name in self.topics.names for number in range(PARTITIONS)]

    async def now(self) -> int:
        """This machine's time, which a cluster elsewhere shares within the slack of a lookup."""
        return time.time_ns()

    async def stored(self) -> list[Envelope]:
        """Everything in the topics: each partition in its order, partitions by time of arrival."""
        with _broker_errors():
            async with asyncio.timeout(READ_SECONDS):
                await self._read_on()
        return list(self.found)

    async def _read_on(self) -> None:
        every = self._every()
        if len(every) != len(self.read):
            self.read = {place: self.read.get(place, 0) for place in every}
            self.consumer.assign(every)
            for place, position in self.read.items():
                self.consumer.seek(place, position)
            self.consumer.pause(*every)
        ends = await self.consumer.end_offsets(every)
        behind = {place: end for place, end in ends.items() if end > self.read[place]}
        records: list[ConsumerRecord] = []
        waiting = set(behind)
        self.consumer.resume(*behind)
        while waiting:
            for batch in (await self.consumer.getmany(timeout_ms=100)).values():
                records += batch
            self.read |= {place: await self.consumer.position(place) for place in behind}
            waiting = {place for place in waiting if self.read[place] < behind[place]}
        self.consumer.pause(*behind)
        records.sort(key=lambda record: (record.timestamp, record.topic, record.partition, record.offset))
        for record in records:
            envelope = self._envelope(record)
            strange = self._strange(record, envelope)
            if strange:
                self.unmapped[len(self.found)] = strange
            self.found.append(envelope)
            self.partitions.append(record.partition)

    def _strange(self, record: ConsumerRecord, envelope: Envelope) -> str:
        """What of a record is not as the contract maps it (D30); empty where all is."""
        tokens = envelope.topic.split(".")
        family = self.topics.prefix + ".".join(tokens[: self.tokens])
        key = envelope.headers.get(self.rule.key)
        if self.rule.topic_header not in dict(record.headers) or record.topic != family:
            named = self.rule.topic_header
            return f"{named} should name the topic, in {family}; the record is in {record.topic}"
        if record.key != (None if key is None else key.encode(errors="surrogateescape")):
            return f"the key should be {self.rule.key}, {key!r}; it is {record.key!r}"
        return ""

    def _envelope(self, record: ConsumerRecord) -> Envelope:
        headers = {name: (value or b"").decode(errors="surrogateescape") for name, value in record.headers}
        topic = headers.pop(self.rule.topic_header, record.topic.removeprefix(self.topics.prefix))
        return Envelope(topic, Headers(headers), record.value or b"")


class KafkaSource:
    """A cluster by URL. Makes and deletes topics of its own and touches no others."""

    def __init__(
        self,
        url: str,
        contract: Contract,
        name: str,
        levers: frozenset[str] = frozenset(),
        gaps: Mapping[str, str] | None = None,
        tls: TlsFiles | None = None,
        server: KafkaServer | None = None,
    ) -> None:
        self.server = server
        self.url = url
        self.contract = contract
        self.name = name
        secured = {"tls"} if files_for(url, tls) else set()
        self.levers = levers | {"backlog", "clock", "size_limit", "partitions"} | secured
        self.gaps: Mapping[str, str] = {**dict.fromkeys(LEVERS, NO_LEVER), **NO_FAULTS, **(gaps or {})}
        self.address = KafkaAddress.parse(url, tls)
        self.replicas = 1
        self.settings: Mapping[str, str] = {"url": without_credentials(url)}

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run in real time."""
        return asyncio.run(main)

    def verify(self) -> None:
        """Connect and ask for the settings that matter. Raises BrokerError, with what to do."""
        self.settings = self.run(self._verify())

    async def _verify(self) -> Mapping[str, str]:
        async with self._admin() as admin:
            with _broker_errors():
                async with asyncio.timeout(ANSWER_SECONDS):
                    brokers = (await admin.describe_cluster())["brokers"]
                    (answer,) = await admin.describe_configs(
                        [ConfigResource(ConfigResourceType.BROKER, str(brokers[0]["node_id"]))]
                    )
        found = {entry[0]: entry[1] for resource in answer.resources for entry in resource[4]}
        if self.address.tls is not None and not await self._open_to_all():
            self.levers |= {"mtls"}
        self.replicas = int(found.get("default.replication.factor") or 1)
        return {
            "url": without_credentials(self.url),
            "brokers": str(len(brokers)),
            "partitions": str(PARTITIONS),
            "acks": "all",
            **{shown: found[name] or "not set" for name, shown in SHOWN.items() if name in found},
            **({"tls": f"{self.contract.security.tls_minimum} or newer"} if "tls" in self.levers else {}),
            **({"client certificate": "required"} if "mtls" in self.levers else {}),
        }

    async def _open_to_all(self) -> bool:
        """Whether clients without a certificate are let in."""
        assert self.address.tls is not None
        bare = replace(self.address.tls, certificate=None, key=None)
        try:
            async with self._admin(replace(self.address, tls=bare)):
                return True
        except BrokerError:
            return False

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[tuple[Endpoint, KafkaProbe]]:
        """New topics for every environment, domain and version of the contract."""
        prefix = f"ampybus-{secrets.token_hex(6)}."
        options = self._options()
        async with self._admin() as admin:
            topics = KafkaTopics(admin, prefix, self.replicas)
            producer = AIOKafkaProducer(**options, acks="all", max_request_size=LARGEST_BYTES)
            consumer = AIOKafkaConsumer(**options, enable_auto_commit=False, fetch_max_wait_ms=50)
            try:
                with _broker_errors():
                    async with asyncio.timeout(ANSWER_SECONDS):
                        await topics.create(families(self.contract))
                        await producer.start()
                        await consumer.start()
                probe = KafkaProbe(self.contract, topics, producer, consumer, self.server)
                await probe.stored()
                yield Endpoint(self.url, prefix=prefix, tls=self.address.tls), probe
            finally:
                await _end(producer.stop(), consumer.stop(), topics.delete())

    def _options(self, address: KafkaAddress | None = None) -> dict[str, Any]:
        return (address or self.address).options(self.contract.security.tls_minimum)

    @asynccontextmanager
    async def _admin(self, address: KafkaAddress | None = None) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(**self._options(address), request_timeout_ms=int(ANSWER_SECONDS * 1000))
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await admin.start()
        except (OSError, KafkaError, TimeoutError) as error:
            await admin.close()
            raise BrokerError(
                f"BROKER expected a Kafka broker at {without_credentials(self.url)}, got "
                f"{type(error).__name__}. Fix: start one, or use --ampybus-broker embedded"
            ) from error
        try:
            yield admin
        finally:
            await admin.close()


def families(contract: Contract) -> list[str]:
    """The topic beginnings that are Kafka topics, for every environment, domain and version (D30)."""
    found: set[tuple[str, ...]] = set()
    tokens_kept = len(contract.kafka.topic.split("."))
    for env in contract.topic.environments:
        for name, domain in contract.domains.items():
            for version in {payload.split(".")[-2] for payload in domain.payloads}:
                found.add((contract.topic.prefix, env, name, version))
        letters = contract.dead_letter.topic.replace("{prefix}", contract.topic.prefix).replace("{env}", env)
        found.add(tuple(letters.split(".")[:tokens_kept]))
    return sorted(".".join(tokens[:tokens_kept]) for tokens in found)


async def _end(*ends: Coroutine[Any, Any, None]) -> None:
    """Try every end, each within ``ANSWER_SECONDS``. Raises BrokerError for the first that failed."""
    outcomes = await asyncio.gather(
        *(asyncio.wait_for(end, ANSWER_SECONDS) for end in ends), return_exceptions=True
    )
    with _broker_errors():
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome


@contextmanager
def _broker_errors() -> Iterator[None]:
    try:
        yield
    except (KafkaError, TimeoutError, OSError) as error:
        raise BrokerError(
            f"BROKER expected Kafka to answer, got {type(error).__name__}: {error}. Fix: see that it runs"
        ) from error
