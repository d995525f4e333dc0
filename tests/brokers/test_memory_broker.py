"""The in-process broker hands out in order, and again what nobody acknowledged."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from ampybus_contract import Envelope, Headers
from ampybus_contract.brokers.memory import ACK_WAIT_SECONDS, MOST_COPIES, MemoryBroker
from ampybus_contract.brokers.virtual_time import run_virtual
from ampybus_contract.contract import default_contract
from ampybus_contract.errors import BrokerError
from ampybus_contract.harness.workload import Workload


def test_a_group_gets_what_matches_in_order_the_old_first(bars: Envelope) -> None:
    other = replace(bars, topic="ampy.prod.orders.v1.requests")
    later = replace(bars, topic="ampy.prod.bars.v1.XNAS.MSFT")

    async def main() -> list[tuple[int, Envelope]]:
        broker = MemoryBroker()
        broker.publish(bars)
        broker.publish(other)
        consumer = broker.consumer("group", "ampy.prod.bars.>")
        broker.publish(later)
        return [await consumer.take(), await consumer.take()]

    assert run_virtual(main()) == [(0, bars), (2, later)]


def test_only_what_is_not_acknowledged_comes_again(bars: Envelope) -> None:
    async def main() -> tuple[int, float, int]:
        broker = MemoryBroker()
        consumer = broker.consumer("group", "ampy.>")
        for _ in range(2):
            broker.publish(bars)
            await consumer.take()
        consumer.ack(0)
        consumer.ack(0)
        position, _envelope = await consumer.take()
        return position, asyncio.get_running_loop().time(), len(consumer.waiting)

    assert run_virtual(main()) == (1, ACK_WAIT_SECONDS, 0)


def test_a_repeated_id_is_stored_once_within_the_window(bars: Envelope) -> None:
    async def main() -> list[int]:
        broker = MemoryBroker()
        broker.window = 10.0
        counts = []
        for pause in (0, 9, 2):
            await asyncio.sleep(pause)
            broker.publish(bars, "id")
            counts.append(len(broker.stored))
        return counts

    assert run_virtual(main()) == [1, 1, 2]


def test_what_is_not_accepted_is_refused(bars: Envelope) -> None:
    broker = MemoryBroker()
    broker.accepted = ["ampy.prod.orders.>"]
    with pytest.raises(BrokerError, match="accepted topic"):
        broker.publish(bars)
    assert broker.stored == []


def test_who_stores_again_what_it_reads_comes_to_an_end() -> None:
    envelope = Workload(default_contract(), 1).envelope("bars")
    nameless = replace(envelope, headers=envelope.headers.with_(message_id=None))

    async def loops(again: Envelope) -> int:
        broker = MemoryBroker()
        with pytest.raises(BrokerError, match=f"at most {MOST_COPIES} copies of one message"):
            while True:
                await broker.store(again)
        await broker.store(Workload(default_contract(), 2).envelope("news"))
        broker.publish(again)
        return len(broker.stored)

    assert run_virtual(loops(envelope)) == run_virtual(loops(nameless)) == MOST_COPIES + 2


def test_what_a_client_left_comes_again_before_anything_newer_and_in_order() -> None:
    async def take_over() -> list[int]:
        broker = MemoryBroker()
        first = broker.consumer("group", ">")
        for number in range(4):
            broker.publish(Envelope("ampy.dev.bars.v1.X.A", Headers({"n": str(number)}), b""))
        held = [await first.take() for _ in range(2)]
        first.ack(held[0][0])
        second = broker.consumer("group", ">")
        return [(await second.take())[0] for _ in range(3)]

    assert run_virtual(take_over()) == [1, 2, 3]


def test_messages_that_share_an_id_and_are_not_alike_are_no_copies(bars: Envelope) -> None:
    others = [replace(bars, payload=bars.payload + bytes([number])) for number in range(MOST_COPIES + 5)]

    async def main() -> int:
        broker = MemoryBroker()
        for other in others:
            await broker.store(other)
        return len(broker.stored)

    assert run_virtual(main()) == len(others)
