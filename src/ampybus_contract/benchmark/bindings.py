"""The bindings beside their raw clients on the embedded brokers, and their memory over a long run."""

from __future__ import annotations

import asyncio
import gc
import resource
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from ampybus_contract.benchmark.pace import Pace
from ampybus_contract.benchmark.raw_clients import RawClient, raw_kafka, raw_nats
from ampybus_contract.benchmark.traffic import envelopes
from ampybus_contract.bindings.kafka import KafkaTransport
from ampybus_contract.bindings.nats import NatsTransport
from ampybus_contract.bindings.protocol import Settlement, Subscription
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.transport import Transport
from ampybus_contract.brokers.endpoint import Endpoint
from ampybus_contract.brokers.kafka_server import kafka_server
from ampybus_contract.brokers.kafka_stream import KafkaSource
from ampybus_contract.brokers.nats_server import nats_server
from ampybus_contract.brokers.nats_stream import NatsSource
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope

KEYS = 64
PIPELINED = 512
RUN_SECONDS = 120.0
STEPS = 10


@dataclass(frozen=True, slots=True)
class _Kind:
    """One broker: how to start it, a client of ours, a client without the contract."""

    source: Callable[[Contract], AbstractContextManager[NatsSource | KafkaSource]]
    transport: Callable[[Contract], Transport]
    raw: Callable[[Contract, Endpoint], AbstractAsyncContextManager[RawClient]]
    client: str


@contextmanager
def _nats(contract: Contract) -> Iterator[NatsSource]:
    """With the server's own sync interval: a sync for every message would hide what a client costs."""
    with (
        TemporaryDirectory(prefix="ampybus-bench-") as store,
        nats_server(jetstream=False, settings=f'jetstream {{ store_dir: "{store}" }}') as server,
    ):
        yield NatsSource(server.url, contract.topic.prefix, "nats")


@contextmanager
def _kafka(contract: Contract) -> Iterator[KafkaSource]:
    with kafka_server() as server:
        yield KafkaSource(server.url, contract, "kafka")


BROKERS = {
    "nats": _Kind(_nats, NatsTransport, raw_nats, "nats-py"),
    "kafka": _Kind(_kafka, lambda contract: KafkaTransport(contract.kafka), raw_kafka, "aiokafka"),
}


def compare(broker: str, contract: Contract, count: int, rounds: int) -> None:
    """Print messages a second of the raw client and of the binding, publishing and consuming, and ratios.

    Every round has a stream of its own, and the contenders change places from round to round. The binding
    consumes with its effects in SQLite, in a new directory; keys in order. The garbage of one contender is
    collected before the turn of the next.
    """
    kind = BROKERS[broker]
    rates: dict[str, list[float]] = {}
    with kind.source(contract) as source:
        for number in range(rounds + 1):
            for name, rate in source.run(_round(kind, source, contract, count, number)).items():
                if number:
                    rates.setdefault(name, []).append(rate)
    print(f"{broker}: {count} messages of {KEYS} keys, {PIPELINED} at once, median of {rounds} rounds")
    print(f"{'messages a second':24}{kind.client:>12}{'binding':>12}{'ratio':>8}{'from':>8}{'to':>8}")
    for act in ("publish", "consume"):
        raw, own = rates[f"raw {act}"], rates[f"own {act}"]
        ratios = [mine / theirs for mine, theirs in zip(own, raw, strict=True)]
        print(
            f"{act:24}{median(raw):12.0f}{median(own):12.0f}"
            f"{median(ratios):8.2f}{min(ratios):8.2f}{max(ratios):8.2f}"
        )


async def _round(
    kind: _Kind, source: NatsSource | KafkaSource, contract: Contract, count: int, number: int
) -> dict[str, float]:
    traffic = list(envelopes(2 * count, contract, keys=KEYS))
    halves = {"raw publish": traffic[:count], "own publish": traffic[count:]}
    pattern = ".".join([*traffic[0].topic.split(".")[:4], ">"])
    async with (
        asyncio.timeout(RUN_SECONDS),
        source.stream() as (endpoint, _),
        kind.raw(contract, endpoint) as raw,
        _started(kind, contract, endpoint) as binding,
    ):
        acts = {
            "raw publish": lambda: _by_windows(raw.publish, halves["raw publish"]),
            "own publish": lambda: _by_windows(_publisher(binding), halves["own publish"]),
            "raw consume": lambda: _paced(partial(raw.consume, pattern), 2 * count),
            "own consume": lambda: _paced(partial(_consume, binding, pattern), 2 * count),
        }
        names = list(acts) if number % 2 else ["own publish", "raw publish", "own consume", "raw consume"]
        rates = {}
        for name in names:
            gc.collect()
            gc.freeze()
            rates[name] = await acts[name]()
        gc.unfreeze()
    return rates


@asynccontextmanager
async def _started(kind: _Kind, contract: Contract, endpoint: Endpoint) -> AsyncIterator[ReferenceBinding]:
    with TemporaryDirectory(prefix="ampybus-effects-") as directory:
        binding = ReferenceBinding(kind.transport(contract), contract)
        await binding.start(replace(endpoint, state=Path(directory)))
        try:
            yield binding
        finally:
            await binding.stop()


def _publisher(binding: ReferenceBinding) -> Callable[[Sequence[Envelope]], Awaitable[None]]:
    async def publish(window: Sequence[Envelope]) -> None:
        for stored in list(map(asyncio.create_task, map(binding.publish, window))):
            await stored

    return publish


async def _by_windows(
    publish: Callable[[Sequence[Envelope]], Awaitable[None]], traffic: Sequence[Envelope]
) -> float:
    """Messages a second, from the first to the last ack."""
    start = time.perf_counter()
    for first in range(0, len(traffic), PIPELINED):
        await publish(traffic[first : first + PIPELINED])
    return len(traffic) / (time.perf_counter() - start)


async def _paced(consume: Callable[[Pace], Awaitable[None]], count: int) -> float:
    """Messages a second, from the first to the last message."""
    pace = Pace(count)
    await consume(pace)
    return pace.rate


async def _consume(binding: ReferenceBinding, pattern: str, pace: Pace) -> None:
    """Until the last distinct effect was applied."""
    done = asyncio.Event()

    async def handle(_envelope: Envelope) -> Settlement:
        if pace.came():
            done.set()
        return Settlement.OK

    await binding.subscribe(Subscription(pattern, "own"), handle)
    await done.wait()


def memory(broker: str, contract: Contract, count: int) -> None:
    """Print the resident memory at each tenth of ``count`` messages, published and consumed side by side."""
    kind = BROKERS[broker]
    print(f"{broker}: resident memory of the process with the producer and the ordered consumer")
    print(f"{'messages':>10}{'MiB':>8}")
    with kind.source(contract) as source:
        source.run(_memory(kind, source, contract, count))


async def _memory(kind: _Kind, source: NatsSource | KafkaSource, contract: Contract, count: int) -> None:
    traffic = envelopes(count, contract, keys=KEYS)
    pattern = f"{contract.topic.prefix}.prod.bars.v1.>"
    room = asyncio.Semaphore(2 * PIPELINED)

    async def handle(_envelope: Envelope) -> Settlement:
        room.release()
        return Settlement.OK

    async with source.stream() as (endpoint, _), _started(kind, contract, endpoint) as binding:
        await binding.subscribe(Subscription(pattern, "own"), handle)
        publish, sent, step = _publisher(binding), 0, max(count // STEPS, 1)
        while sent < count:
            window = list(islice(traffic, min(PIPELINED, step - sent % step, count - sent)))
            async with asyncio.timeout(RUN_SECONDS):
                for _ in window:
                    await room.acquire()
                await publish(window)
            sent += len(window)
            if sent % step == 0 or sent == count:
                print(f"{sent:10}{_resident() / 2**20:8.1f}", flush=True)


def _resident() -> int:
    """Bytes of this process in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
