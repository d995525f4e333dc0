"""Bindings that hand out messages in an order of their own."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

from ampybus_contract.bindings.consumer import ConsumerGroup
from ampybus_contract.bindings.protocol import Settlement, Subscription
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.transport import Incoming, Transport
from ampybus_contract.contract import Contract
from ampybus_contract.harness.mutants.build import ChangesSends, Mutant, grouped

BATCH = 16
GATHERING_SECONDS = 0.01


class ShufflesBatches(ChangesSends):
    """Hands out each batch in another order."""

    async def consume(self, subscription: Subscription) -> AsyncIterator[Incoming]:
        return self._shuffled(await super().consume(subscription))

    async def _shuffled(self, messages: AsyncIterator[Incoming]) -> AsyncIterator[Incoming]:
        order = random.Random(3)
        queue: asyncio.Queue[Incoming] = asyncio.Queue()

        async def fill() -> None:
            async for item in messages:
                await queue.put(item)

        filling = asyncio.create_task(fill())
        try:
            while True:
                batch = [await queue.get()]
                while len(batch) < BATCH and not queue.empty():
                    batch.append(queue.get_nowait())
                order.shuffle(batch)
                for item in batch:
                    yield item
                await asyncio.sleep(GATHERING_SECONDS)
        finally:
            filling.cancel()


class RequeuesAtTail(ConsumerGroup):
    """Puts a message that is to be retried behind the others of its key."""

    async def settle(self, incoming: Incoming) -> None:
        if await self.handler(incoming.envelope) is Settlement.RETRY:
            await self.room.acquire()
            self.enqueue(incoming)
        else:
            await self.acknowledge(incoming)


def mutants(_contract: Contract) -> list[Mutant]:
    """Every mutant of the chapter."""
    return [
        Mutant("shuffles within a batch", "ORD-01", _shuffling),
        Mutant("requeues at the tail", "ORD-03", grouped(RequeuesAtTail)),
    ]


def _shuffling(transport: Transport, contract: Contract) -> ReferenceBinding:
    return ReferenceBinding(ShufflesBatches(transport, lambda item: item), contract)
