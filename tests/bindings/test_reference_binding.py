"""The reference binding where no conformance check looks yet."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import nats
import pytest

from ampybus_contract import Envelope
from ampybus_contract.bindings.memory import MemoryTransport
from ampybus_contract.bindings.nats import NatsTransport
from ampybus_contract.bindings.protocol import Endpoint, Settlement, Subscription
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.brokers.memory import MemoryBroker
from ampybus_contract.brokers.nats_server import nats_server
from ampybus_contract.brokers.nats_stream import NatsSource
from ampybus_contract.brokers.virtual_time import run_virtual
from ampybus_contract.contract import default_contract
from ampybus_contract.errors import BrokerError, PublishError
from ampybus_contract.harness.workload import Workload

CONTRACT = default_contract()


def order(size: int = 0) -> Envelope:
    return Workload(CONTRACT, 1).envelope("orders", size=size)


async def settle(answers: list[Settlement | Exception]) -> tuple[list[str], list[Envelope]]:
    """Publish one order to a handler with these answers; gives what it saw and what is stored at the end."""
    broker, seen = MemoryBroker(), []
    binding = ReferenceBinding(MemoryTransport(), CONTRACT)
    done = asyncio.Event()

    async def handle(envelope: Envelope) -> Settlement:
        seen.append(envelope.headers.get("retry_count", "-"))
        answer = answers[len(seen) - 1]
        if len(seen) == len(answers):
            done.set()
        if isinstance(answer, Exception):
            raise answer
        return answer

    await binding.start(Endpoint("memory", "memory", broker))
    await binding.subscribe(Subscription("ampy.>", "group"), handle)
    await binding.publish(order())
    await done.wait()
    await binding.stop()
    return seen, broker.stored


def test_a_handler_that_raises_is_tried_again_and_then_dead_lettered() -> None:
    bound = CONTRACT.retry_of("orders").attempts
    answers: list[Settlement | Exception] = [ValueError("no")] * bound
    # The binding delivers its own dead letter too, as the subscription covers all topics.
    seen, stored = run_virtual(settle([*answers, Settlement.OK]))
    assert seen == ["-", *map(str, range(1, bound)), "-"]
    assert [item.headers.get("dlq_reason", "").partition(":")[0] for item in stored] == [
        "",
        "retries_exhausted",
    ]


def test_a_rejected_message_is_not_tried_again() -> None:
    seen, stored = run_virtual(settle([Settlement.REJECT, Settlement.OK]))
    assert seen == ["-", "-"]
    assert stored[1].headers["dlq_reason"].startswith("contract_violation: ")


def test_the_same_dedupe_key_takes_effect_once() -> None:
    async def main() -> int:
        broker, effects = MemoryBroker(), []
        binding = ReferenceBinding(MemoryTransport(), CONTRACT)

        async def handle(envelope: Envelope) -> Settlement:
            effects.append(envelope)
            return Settlement.OK

        await binding.start(Endpoint("memory", "memory", broker))
        await binding.subscribe(Subscription("ampy.>", "group"), handle)
        first = order()
        other = first.headers.with_(message_id=first.headers["message_id"][:-1] + "0")
        for headers in (first.headers, other):
            await binding.publish(Envelope(first.topic, headers, first.payload))
        await asyncio.sleep(1)
        await binding.stop()
        return len(effects)

    assert run_virtual(main()) == 1


@pytest.mark.server
def test_a_message_over_the_brokers_ceiling_is_refused_and_the_connection_lives() -> None:
    async def main(url: str) -> None:
        async with NatsSource(url, "ampy", "nats").stream() as (endpoint, probe):
            binding = ReferenceBinding(NatsTransport(), CONTRACT)
            await binding.start(endpoint)
            transport = binding.transport
            large = order(size=1024 * 1024)
            with pytest.raises(PublishError, match="within 1048576 bytes") as caught:
                await transport.send(large)
            assert caught.value.definite
            await binding.publish(order())
            assert len(await probe.stored()) == 1
            await binding.stop()

    with nats_server() as server:
        asyncio.run(main(server.url))


@pytest.mark.server
def test_a_publish_without_a_stream_is_a_definite_failure() -> None:
    async def main(url: str) -> PublishError:
        binding = ReferenceBinding(NatsTransport(), CONTRACT)
        await binding.start(Endpoint(url, "none"))
        try:
            with pytest.raises(PublishError) as caught:
                await binding.publish(order())
            return caught.value
        finally:
            await binding.stop()

    with nats_server() as server:
        error = asyncio.run(main(server.url))
    assert error.definite
    assert "-js" in str(error)


@pytest.mark.server
def test_a_taken_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(BrokerError, match="address already in use"), nats_server(taken.getsockname()[1]):
            pass


class LateRefusal(MemoryTransport):
    """Stores and gives no answer, then refuses."""

    async def send(self, envelope: Envelope, act: str = "") -> None:
        answered = bool(self.broker.stored) if self.broker else False
        if not answered:
            await super().send(envelope, act)
        raise PublishError("PUBLISH expected an answer, got none. Fix: wait", definite=answered)


def test_a_refusal_after_an_attempt_without_answer_is_indefinite() -> None:
    async def publish() -> None:
        binding = ReferenceBinding(LateRefusal(), CONTRACT)
        await binding.start(Endpoint("memory", "memory", MemoryBroker()))
        try:
            await binding.publish(order())
        finally:
            await binding.stop()

    with pytest.raises(PublishError, match="may be stored") as caught:
        run_virtual(publish())
    assert not caught.value.definite


@pytest.mark.server
def test_who_waits_for_an_answer_hears_that_the_binding_is_closed() -> None:
    async def publish(url: str) -> None:
        transport, listener = NatsTransport(CONTRACT), await nats.connect(url)
        heard = await listener.subscribe("ampy.>")
        await listener.flush()
        await transport.open(Endpoint(url, "none"))
        sending = asyncio.create_task(transport.send(order()))
        await heard.next_msg(timeout=5)
        await transport.close()
        await listener.close()
        await sending

    with nats_server() as server, pytest.raises(PublishError, match="ConnectionClosedError") as caught:
        asyncio.run(publish(server.url))
    assert not caught.value.definite


def test_a_payload_over_the_limit_is_refused_on_arrival_and_taken_where_it_was_stored_apart(
    tmp_path: Path,
) -> None:
    contract = default_contract()
    binding = ReferenceBinding(MemoryTransport(), contract)
    binding.pointers = binding.pointers_below(tmp_path.as_uri())
    made = Workload(contract, 1)
    bulky = made.bulky(made.keyed_domain())
    size = contract.payload.requirements["sent"]
    assert binding.poison(bulky) == ("violation", f"{size} payload")
    assert binding.poison_fetched(bulky) is None
    assert binding.broken(bulky) == []


def test_a_pause_stays_at_the_cap_however_often_a_dlq_refused() -> None:
    binding = ReferenceBinding(MemoryTransport(), default_contract())
    rule = default_contract().retry_of("bars")
    for attempt in (1_100, 1_000_000):
        assert 0 < binding.backoff(rule, attempt) <= rule.backoff_max
