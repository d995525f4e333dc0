"""Bindings that hand out messages in an order of their own."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Hashable

from ampybus_contract.bindings.consumer import ConsumerGroup
from ampybus_contract.bindings.protocol import Handler, Settlement, Subscription
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.transport import Incoming, Transport
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.mutants.build import ChangesSends, Mutant, grouped
from ampybus_contract.harness.scenarios.ordering import STEP, STEPS

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
    """Lets the others of its key go first while a message waits for its next attempt."""

    def __init__(self, binding: ReferenceBinding, name: str, handler: Handler) -> None:
        super().__init__(binding, name, handler)
        self.waiting: dict[asyncio.Task[None] | None, asyncio.Event] = {}

    async def settle(self, incoming: Incoming) -> None:
        waits = asyncio.Event()
        work = asyncio.create_task(super().settle(incoming))
        self.waiting[work] = waits
        self.workers.add(work)
        work.add_done_callback(self._done)
        await waits.wait()

    def _done(self, work: asyncio.Task[None]) -> None:
        self.workers.discard(work)
        self.waiting.pop(work).set()

    async def _pause(self, seconds: float) -> None:
        self.waiting[asyncio.current_task()].set()
        await super()._pause(seconds)


class IgnoresKeys(ReferenceBinding):
    """Works on messages side by side, whatever their key."""

    def lane(self, envelope: Envelope) -> str:
        return envelope.headers.get("message_id", "")


class CommitsOnRevoke(ConsumerGroup):
    """Acknowledges what it holds when it leaves its group, done or not."""

    async def stop(self, seconds: float) -> None:
        await self.kill()
        for incoming in list(self.held.values()):
            await self.acknowledge(incoming)


class TakesCancelsFirst(ConsumerGroup):
    """Moves a cancel to the head of its key."""

    def enqueue(self, incoming: Incoming) -> None:
        super().enqueue(incoming)
        lane = self.lanes[self.binding.lane(incoming.envelope)]
        if incoming.envelope.headers.get(STEP) == STEPS[-1]:
            lane.rotate(1)


class KeepsFirst(ReferenceBinding):
    """Hands out the first message of each key and no other."""

    async def subscribe(self, subscription: Subscription, handler: Handler) -> None:
        seen: dict[str, str] = {}

        async def first(envelope: Envelope) -> Settlement:
            identity = envelope.headers["message_id"]
            known = seen.setdefault(envelope.headers["partition_key"], identity)
            return await handler(envelope) if known == identity else Settlement.OK

        await super().subscribe(subscription, first)


class ResumesFromNewest(ConsumerGroup):
    """Lets go, when the connection comes back, what it was handed before, and goes on with what is new."""

    def __init__(self, binding: ReferenceBinding, name: str, handler: Handler) -> None:
        super().__init__(binding, name, handler)
        self.handed: dict[Hashable, int] = {}

    def enqueue(self, incoming: Incoming) -> None:
        self.handed[incoming.position] = self._reconnects()
        super().enqueue(incoming)

    async def settle(self, incoming: Incoming) -> None:
        if self.handed[incoming.position] == self._reconnects():
            await super().settle(incoming)
        else:
            await self.acknowledge(incoming)

    def _reconnects(self) -> int:
        client = getattr(self.binding.transport, "client", None)
        return 0 if client is None else int(client.stats["reconnects"])


def mutants(_contract: Contract) -> list[Mutant]:
    """Every mutant of the chapter."""
    return [
        Mutant("shuffles within a batch", "ORD-01", _shuffling),
        Mutant("has workers that ignore keys", "ORD-02", IgnoresKeys),
        Mutant("requeues at the tail", "ORD-03", grouped(RequeuesAtTail)),
        Mutant("commits the next offset on revoke", "ORD-04", grouped(CommitsOnRevoke)),
        Mutant("resumes from the newest", "ORD-05", grouped(ResumesFromNewest)),
        Mutant("takes cancels first", "ORD-06", grouped(TakesCancelsFirst)),
        Mutant("keeps the first value", "ORD-07", KeepsFirst),
    ]


def _shuffling(transport: Transport, contract: Contract) -> ReferenceBinding:
    return ReferenceBinding(ShufflesBatches(transport, lambda item: item), contract)
