"""The binding on a real nats-server that lacks its stream, is full, gone or silent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import nats
import pytest

from ampybus_contract import Envelope
from ampybus_contract.bindings import nats as binding_module
from ampybus_contract.bindings.nats import NatsTransport
from ampybus_contract.bindings.protocol import Endpoint, Settlement, Subscription
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.brokers.nats_server import NatsServer, nats_server
from ampybus_contract.brokers.nats_stream import NatsSource
from ampybus_contract.contract import default_contract
from ampybus_contract.errors import BrokerError, PublishError
from ampybus_contract.harness.workload import Workload
from tests.brokers.small_disk import small_disk

pytestmark = pytest.mark.server

CONTRACT = default_contract()
DEADLINE_SECONDS = 30.0
STOP_SECONDS = 10.0
MINIMUM = CONTRACT.security.tls_minimum
EVERYTHING = Subscription("ampy.>", "group")


def play(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            await scene()

    asyncio.run(main())


def orders(count: int, size: int = 0) -> list[Envelope]:
    workload = Workload(CONTRACT, 3)
    return [workload.envelope("orders", size=size) for _ in range(count)]


async def create(url: str) -> None:
    client = await nats.connect(url, allow_reconnect=False)
    await client.jetstream().add_stream(name="S", subjects=["ampy.>"])
    await client.close()


async def delete(url: str) -> None:
    client = await nats.connect(url, allow_reconnect=False)
    await client.jetstream().delete_stream("S")
    await client.close()


async def started(place: Endpoint) -> ReferenceBinding:
    binding = ReferenceBinding(NatsTransport(CONTRACT), CONTRACT)
    await binding.start(place)
    return binding


async def apply(_envelope: Envelope) -> Settlement:
    return Settlement.OK


def test_reading_a_missing_stream_names_it_and_the_fix(tmp_path: Path) -> None:
    with nats_server() as server:

        async def scene() -> None:
            binding = await started(Endpoint(server.url, "S"))
            with pytest.raises(BrokerError, match=r"the stream S, got .*stream not found.*Fix: create it"):
                await binding.subscribe(EVERYTHING, apply)
            with pytest.raises(BrokerError, match=r"the stream S, got .*stream not found.*Fix: create it"):
                await binding.lag("group")
            with pytest.raises(BrokerError, match=r"read S, got .*stream not found.*Fix: create it"):
                await binding.capture("ampy.>", tmp_path / "session.jsonl")
            await binding.stop()

        play(scene)


def test_a_group_whose_consumer_has_another_pattern_is_refused_with_its_fix() -> None:
    with nats_server() as server:

        async def scene() -> None:
            await create(server.url)
            binding = await started(Endpoint(server.url, "S"))
            await binding.subscribe(Subscription("ampy.dev.orders.>", "group"), apply)
            with pytest.raises(
                BrokerError, match=r"ampy\.dev\.fx\.> .* got ampy\.dev\.orders\.>.*another group"
            ):
                await binding.subscribe(Subscription("ampy.dev.fx.>", "group"), apply)
            await binding.subscribe(Subscription("ampy.dev.fx.>", "other"), apply)
            assert await binding.lag("nobody") == 0
            await binding.stop()

        play(scene)


def test_subscribing_on_a_dead_server_says_to_look_at_the_server() -> None:
    with nats_server() as server:

        async def scene() -> None:
            await create(server.url)
            binding = await started(Endpoint(server.url, "S"))
            assert isinstance(binding.transport, NatsTransport)
            server.kill()
            with pytest.raises(BrokerError, match=r"the stream S, .*timeout\. Fix: see that the server runs"):
                await binding.subscribe(EVERYTHING, apply)
            with pytest.raises(BrokerError, match=r"the stream S, .*timeout\. Fix: see that the server runs"):
                await anext(binding.transport.follow("ampy.>", {}))
            await binding.stop()

        play(scene)


def test_a_stream_deleted_under_a_consumer_is_logged_and_consumed_when_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with nats_server() as server:

        async def scene() -> None:
            got: asyncio.Queue[Envelope] = asyncio.Queue()
            told = asyncio.Event()

            async def handle(envelope: Envelope) -> Settlement:
                got.put_nowait(envelope)
                return Settlement.OK

            class Sign(logging.Handler):
                def emit(self, record: logging.LogRecord) -> None:
                    if "Fix: create the stream" in record.getMessage():
                        told.set()

            sign = Sign()
            logger = logging.getLogger("ampybus_contract.bindings.nats_pull")
            logger.addHandler(sign)
            try:
                await create(server.url)
                binding = await started(Endpoint(server.url, "S"))
                await binding.subscribe(EVERYTHING, handle)
                before, after = orders(2)
                await binding.publish(before)
                assert await got.get() == before
                await delete(server.url)
                await told.wait()
                await create(server.url)
                await binding.publish(after)
                assert await got.get() == after
                await binding.stop()
            finally:
                logger.removeHandler(sign)

        play(scene)
    assert sum("Fix: create the stream" in item for item in caplog.messages) == 1


def test_a_full_disk_is_definite_with_a_fix_and_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    room = f'jetstream {{ store_dir: "{tmp_path}", max_file_store: 200KB }}\n'
    with nats_server(jetstream=False, settings=room) as server:

        async def scene() -> None:
            await create(server.url)
            binding = await started(Endpoint(server.url, "S"))
            stored = 0
            with pytest.raises(PublishError, match=r"insufficient resources.*more room") as raised:
                for envelope in orders(40, size=20_000):
                    await binding.publish(envelope)
                    stored += 1
            assert raised.value.definite
            client = await nats.connect(server.url)
            assert (await client.jetstream().stream_info("S")).state.messages == stored > 0
            await client.close()
            await binding.stop()

        play(scene)


def test_a_disk_without_room_leaves_the_outcome_open_and_keeps_what_was_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """nats-server then answers nothing to a publish, and says why to who would consume."""
    monkeypatch.setattr(binding_module, "PUBLISH_SECONDS", 1.0)
    with (
        small_disk(tmp_path) as (disk, grow),
        nats_server(
            jetstream=False, settings=f'jetstream {{ store_dir: "{disk}", max_file_store: 1GB }}\n'
        ) as server,
    ):

        async def scene() -> None:
            await create(server.url)
            binding = await started(Endpoint(server.url, "S"))
            stored: list[Envelope] = []
            with pytest.raises(PublishError, match=r"may be stored\. Fix: .*disk has room") as raised:
                for envelope in orders(200, size=120_000):
                    await binding.publish(envelope)
                    stored.append(envelope)
            assert not raised.value.definite
            with pytest.raises(OSError, match="No space left"), (disk / "rest").open("wb", 0) as rest:
                while True:
                    rest.write(bytes(512))
            with pytest.raises(BrokerError, match=r"the stream S, got .*Fix: .*more room"):
                await binding.subscribe(EVERYTHING, apply)
            await binding.stop()
            grow()
            server.restart()
            got: list[Envelope] = []
            everything = asyncio.Event()

            async def handle(envelope: Envelope) -> Settlement:
                got.append(envelope)
                if len(got) >= len(stored):
                    everything.set()
                return Settlement.OK

            again = await started(Endpoint(server.url, "S"))
            await again.subscribe(EVERYTHING, handle)
            await everything.wait()
            assert stored
            assert sorted(got[: len(stored)], key=str) == sorted(stored, key=str)
            await again.stop()

        play(scene)


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("lever", [NatsServer.kill, NatsServer.pause])
def test_a_stop_without_a_server_is_in_time_leaves_no_task_and_the_rest_comes_at_the_next_start(
    lever: Callable[[NatsServer], None], tls: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ampybus_contract.bindings.reference.STOP_SECONDS", 0.1)
    with nats_server(tls=tls) as server:
        files = None if server.certificates is None else server.certificates.files
        place = Endpoint(server.url, "S", tls=files)

        async def scene() -> None:
            async with NatsSource(server.url, "ampy", "nats", files, MINIMUM)._client() as client:
                await client.jetstream().add_stream(name="S", subjects=["ampy.>"])
            sent, stuck = orders(6), asyncio.Event()

            async def hang(envelope: Envelope) -> Settlement:
                if envelope == sent[3]:
                    stuck.set()
                    await asyncio.Event().wait()
                return Settlement.OK

            others = asyncio.all_tasks()
            binding = await started(place)
            for envelope in sent:
                await binding.publish(envelope)
            await binding.subscribe(EVERYTHING, hang)
            await stuck.wait()
            lever(server)
            async with asyncio.timeout(STOP_SECONDS):
                await binding.stop()
            assert asyncio.all_tasks() - others == set()
            server.resume() if lever is NatsServer.pause else server.restart()
            got: asyncio.Queue[Envelope] = asyncio.Queue()

            async def handle(envelope: Envelope) -> Settlement:
                got.put_nowait(envelope)
                return Settlement.OK

            again = await started(place)
            await again.subscribe(EVERYTHING, handle)
            missing = sent[3:4]
            while missing:
                missing = [envelope for envelope in missing if envelope != await got.get()]
            await again.stop()

        play(scene)


@pytest.mark.parametrize("lever", [NatsServer.kill, NatsServer.pause])
def test_a_server_that_is_gone_or_silent_leaves_the_outcome_open_and_stop_returns(
    lever: Callable[[NatsServer], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binding_module, "PUBLISH_SECONDS", 0.5)
    with nats_server() as server:

        async def scene() -> None:
            await create(server.url)
            binding = await started(Endpoint(server.url, "S"))
            await binding.subscribe(EVERYTHING, apply)
            lever(server)
            with pytest.raises(PublishError, match="may be stored") as raised:
                await binding.publish(orders(1)[0])
            assert not raised.value.definite
            await binding.stop()

        play(scene)
