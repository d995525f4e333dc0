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
from ampybus_contract.contract import default_contract
from ampybus_contract.errors import BrokerError, PublishError
from ampybus_contract.harness.workload import Workload

CONTRACT = default_contract()
DEADLINE_SECONDS = 30.0
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
            with pytest.raises(BrokerError, match=r"read S, got .*stream not found.*Fix: create it"):
                await binding.capture("ampy.>", tmp_path / "session.jsonl")
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
