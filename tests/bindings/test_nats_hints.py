"""What users of the seed's troubleshooting table hit most, on a real nats-server: each error has its fix."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nats
import pytest

from ampybus_contract import Envelope
from ampybus_contract.bindings import nats as binding_module
from ampybus_contract.bindings.nats import NatsTransport
from ampybus_contract.bindings.nats_refusals import overlap
from ampybus_contract.bindings.protocol import Endpoint, Settlement, Subscription
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.brokers.nats_server import nats_server
from ampybus_contract.contract import default_contract
from ampybus_contract.errors import BrokerError, PublishError
from ampybus_contract.harness.workload import Workload

CONTRACT = default_contract()
DEADLINE_SECONDS = 30.0
CEILING_BYTES = 100_000
EVERYTHING = Subscription("ampy.>", "group")
UNDERSCORES = "ampy.dev_bars_v1_XNAS_AAPL"
Act = Callable[[ReferenceBinding, Path], Awaitable[object]]


async def apply(_envelope: Envelope) -> Settlement:
    return Settlement.OK


def order(size: int = 0) -> Envelope:
    return Workload(CONTRACT, 3).envelope("orders", size=size)


def play(url: str, scene: Callable[[ReferenceBinding], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            binding = ReferenceBinding(NatsTransport(CONTRACT), CONTRACT)
            await binding.start(Endpoint(url, "S"))
            try:
                await scene(binding)
            finally:
                await binding.stop()

    asyncio.run(main())


async def create(url: str, *subjects: str) -> None:
    client = await nats.connect(url, allow_reconnect=False)
    await client.jetstream().add_stream(name="S", subjects=[*subjects])
    await client.close()


async def publish(binding: ReferenceBinding, _file: Path) -> None:
    await binding.publish(order())


async def subscribe(binding: ReferenceBinding, _file: Path) -> None:
    await binding.subscribe(EVERYTHING, apply)


async def follow(binding: ReferenceBinding, _file: Path) -> None:
    assert isinstance(binding.transport, NatsTransport)
    await anext(binding.transport.follow("ampy.>", {}))


async def lag(binding: ReferenceBinding, _file: Path) -> None:
    await binding.lag("group")


async def capture(binding: ReferenceBinding, file: Path) -> None:
    await binding.capture("ampy.>", file)


async def redrive(binding: ReferenceBinding, _file: Path) -> None:
    await binding.redrive("ampy.dev.dlq.v1.>", 1)


ACTS = [publish, subscribe, follow, lag, capture, redrive]


@pytest.fixture(scope="module")
def without_jetstream() -> Iterator[str]:
    with nats_server(jetstream=False) as server:
        yield server.url


@pytest.fixture(scope="module")
def without_stream() -> Iterator[str]:
    with nats_server() as server:
        yield server.url


@pytest.mark.server
@pytest.mark.parametrize("act", ACTS)
def test_no_jetstream_says_with_what_to_start_the_server(
    act: Act, without_jetstream: str, tmp_path: Path
) -> None:
    """``no responders available for request``."""

    async def scene(binding: ReferenceBinding) -> None:
        with pytest.raises((BrokerError, PublishError), match=r"Fix: .*start (the |nats-)server with -js"):
            await act(binding, tmp_path / "session.jsonl")

    play(without_jetstream, scene)


@pytest.mark.server
@pytest.mark.parametrize("act", ACTS)
def test_a_missing_stream_is_to_be_created(act: Act, without_stream: str, tmp_path: Path) -> None:
    """``stream not found``, ``no response from stream``."""

    async def scene(binding: ReferenceBinding) -> None:
        with pytest.raises((BrokerError, PublishError), match="Fix: create it"):
            await act(binding, tmp_path / "session.jsonl")

    play(without_stream, scene)


@pytest.mark.server
@pytest.mark.parametrize("act", [subscribe, follow, redrive])
def test_a_stream_with_other_subjects_is_named_with_them(act: Act, tmp_path: Path) -> None:
    """``subject does not match consumer``; the server would let the consumer wait for ever."""
    with nats_server() as server:

        async def scene(binding: ReferenceBinding) -> None:
            await create(server.url, "other.>", "ampy.prod.fx.>")
            with pytest.raises(BrokerError, match=r"got S with other\.>, ampy\.prod\.fx\.>\. Fix: add the"):
                await act(binding, tmp_path / "session.jsonl") if act is redrive else await dev(act, binding)

        play(server.url, scene)


async def dev(act: Act, binding: ReferenceBinding) -> None:
    """The act on what the stream does not have."""
    pattern = "ampy.dev.>"
    if act is subscribe:
        await binding.subscribe(Subscription(pattern, "group"), apply)
    assert isinstance(binding.transport, NatsTransport)
    await anext(binding.transport.follow(pattern, {}))


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("ampy.>", "ampy.dev.bars.v1.XNAS.AAPL", True),
        ("ampy.*.bars.>", "ampy.dev.>", True),
        ("*.dev.bars", "ampy.*.bars", True),
        ("ampy.dev.bars", "ampy.dev.bars", True),
        ("ampy.>", "ampy", False),
        ("ampy.dev.*", "ampy.dev.bars.v1", False),
        ("ampy.dev.bars.>", "ampy.*.fx.>", False),
    ],
)
def test_what_two_patterns_have_in_common(one: str, other: str, both: bool) -> None:
    assert overlap(one, other) == overlap(other, one) == both


@pytest.mark.server
def test_underscores_for_dots_get_the_topic_that_was_meant(without_stream: str) -> None:
    """``invalid subject``; nothing reaches the server, which would take the topic for a subject."""

    async def scene(binding: ReferenceBinding) -> None:
        with pytest.raises(PublishError, match=r"ampy\.dev\.bars\.v1\.XNAS\.AAPL") as raised:
            await binding.publish(replace(order(), topic=UNDERSCORES))
        assert raised.value.definite

    play(without_stream, scene)


@pytest.mark.server
def test_an_envelope_without_a_topic_is_refused(without_stream: str) -> None:
    async def scene(binding: ReferenceBinding) -> None:
        with pytest.raises(PublishError, match="topic") as raised:
            await binding.publish(replace(order(), topic=""))
        assert raised.value.definite

    play(without_stream, scene)


@pytest.mark.server
def test_a_group_named_with_dots_consumes() -> None:
    """``invalid consumer name``."""
    with nats_server() as server:

        async def scene(binding: ReferenceBinding) -> None:
            got: asyncio.Queue[Envelope] = asyncio.Queue()

            async def handle(envelope: Envelope) -> Settlement:
                got.put_nowait(envelope)
                return Settlement.OK

            await create(server.url, "ampy.>")
            await binding.subscribe(Subscription("ampy.>", "ampy.bars.v1.Bar > all"), handle)
            sent = order()
            await binding.publish(sent)
            assert await got.get() == sent

        play(server.url, scene)


@pytest.mark.server
def test_what_is_over_the_servers_ceiling_is_definite_and_the_connection_lives_on() -> None:
    """Header block included: the server would cut the connection, and the outcome would be open."""
    with nats_server(settings=f"max_payload: {CEILING_BYTES}\n") as server:

        async def scene(binding: ReferenceBinding) -> None:
            await create(server.url, "ampy.>")
            with pytest.raises(
                PublishError, match=rf"within {CEILING_BYTES} bytes.*Fix: use the pointer"
            ) as raised:
                await binding.publish(order(CEILING_BYTES - 100))
            assert raised.value.definite
            await binding.publish(order())
            assert isinstance(binding.transport, NatsTransport)
            assert binding.transport.client is not None
            assert binding.transport.client.stats["reconnects"] == 0

        play(server.url, scene)


@pytest.mark.server
@pytest.mark.parametrize("lever", ["kill", "pause"])
def test_a_server_that_is_not_there_at_start_is_an_error_in_time(
    lever: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``context deadline exceeded``; a stopped server still takes connections, and says nothing."""
    monkeypatch.setattr(binding_module, "CONNECT_SECONDS", 1.0)
    with nats_server() as server:
        getattr(server, lever)()

        async def main() -> None:
            async with asyncio.timeout(DEADLINE_SECONDS / 3):
                with pytest.raises(BrokerError, match="Fix: start nats-server -js"):
                    await ReferenceBinding(NatsTransport(CONTRACT), CONTRACT).start(Endpoint(server.url, "S"))

        asyncio.run(main())
