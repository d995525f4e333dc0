"""The memory broker as a schedule has it: turns for all who use it, and faults where they are placed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from operator import itemgetter

from ampybus_contract.brokers.endpoint import Endpoint
from ampybus_contract.brokers.memory import MemoryBroker, MemoryConsumer, MemoryProbe
from ampybus_contract.brokers.simulation.schedule import Fault, FaultKind, Schedule
from ampybus_contract.brokers.simulation.turns import Turns
from ampybus_contract.brokers.virtual_time import VirtualTimeLoop
from ampybus_contract.envelope import Envelope
from ampybus_contract.envelope.pattern import matches

OVERTAKEN_SECONDS = 1.0
ACK_SECONDS = 5.0
AGAIN_SECONDS = 0.1


@dataclass(slots=True)
class SimulatedConsumer(MemoryConsumer):
    """A group behind a link that may be cut, and whose keys may be held back."""

    turns: Turns = field(default_factory=Turns)
    link: asyncio.Event = field(default_factory=asyncio.Event)
    holding: dict[str, list[tuple[int, Envelope]]] = field(default_factory=dict)
    overtaken: set[str] = field(default_factory=set)
    handed: dict[int, Envelope] = field(default_factory=dict)

    def offer(self, position: int, envelope: Envelope) -> None:
        """Queue it, behind those of its key that are held back; who waits to be overtaken was."""
        if not matches(self.pattern, envelope.topic):
            return
        key = envelope.headers.get("partition_key", "")
        if key in self.holding:
            self.holding[key].append((position, envelope))
            return
        MemoryConsumer.offer(self, position, envelope)
        for other in sorted(self.overtaken):
            self.release(other)

    def hold(self, key: str, seconds: float, overtaken: bool) -> None:
        """Hold a key back for some seconds, or until one of another key was offered."""
        if key in self.holding:
            return
        self.holding[key] = []
        if overtaken:
            self.overtaken.add(key)
        asyncio.get_running_loop().call_later(seconds, self.release, key)

    def release(self, key: str) -> None:
        """Offer what is held back of a key, in its order."""
        self.overtaken.discard(key)
        for position, envelope in self.holding.pop(key, ()):
            self.waiting.append((position, envelope))
            self.arrived.set()

    async def take(self) -> tuple[int, Envelope]:
        """The next message, once it is this group's turn and the link is whole."""
        while True:
            while not self.waiting:
                self.arrived.clear()
                await self.arrived.wait()
            await self.turns.turn()
            await self.link.wait()
            if self.waiting:
                position, envelope = await MemoryConsumer.take(self)
                self.handed[position] = envelope
                return position, envelope

    def ack(self, position: int) -> None:
        """Acknowledge; what is said over a cut link is not heard."""
        if self.link.is_set():
            self.handed.pop(position, None)
            MemoryConsumer.ack(self, position)

    def hand_back(self) -> None:
        """Put what is out without an acknowledgement before what waits, in stored order."""
        for position in sorted(self.pending):
            self.pending.pop(position).cancel()
            self.waiting.append((position, self.handed[position]))
        self.waiting = deque(sorted(self.waiting, key=itemgetter(0)))
        if self.waiting:
            self.arrived.set()


class SimulatedBroker(MemoryBroker):
    """Plays the faults of a schedule at the messages they are placed at, each once.

    Messages are counted by their first publish. It never changes the order of one key: neither delay nor
    reordering, nor the death of a consumer, lets a later message of a key overtake an earlier one.
    """

    def __init__(self, schedule: Schedule) -> None:
        super().__init__()
        self.schedule = schedule
        self.lost: set[int] = set()
        self.turns = Turns(schedule.turns)
        self.link = asyncio.Event()
        self.link.set()
        self.numbers: dict[str, int] = {}
        self.faults: dict[int, list[Fault]] = {}
        for fault in schedule.faults:
            self.faults.setdefault(fault.message, []).append(fault)

    async def store(self, envelope: Envelope, identity: str = "") -> bool:
        """Store when it is the publisher's turn, with the faults of this message. False: no answer."""
        await self.turns.turn()
        new = identity not in self.numbers
        number = self.numbers.setdefault(identity, len(self.numbers))
        faults = self.faults.pop(number, []) if new else []
        kinds = {fault.kind for fault in faults}
        for fault in faults:
            self.before(fault, envelope)
        if not self.link.is_set() or FaultKind.DROP in kinds:
            return False
        length = len(self.stored)
        self.publish(envelope, identity)
        if len(self.stored) > length:
            for fault in faults:
                self.after(fault, length, envelope)
        if FaultKind.TRUNCATED_TAIL in kinds:
            await self.turns.turn()
            self.forget(envelope, identity)
            return False
        return FaultKind.LOST_ACK not in kinds and not self.acks_lost

    def before(self, fault: Fault, envelope: Envelope) -> None:
        """What goes wrong before a message is stored."""
        if fault.kind is FaultKind.PARTITION:
            self.cut(fault.seconds)
        if fault.kind in (FaultKind.DELAY, FaultKind.REORDER):
            overtaken = fault.kind is FaultKind.REORDER
            seconds = OVERTAKEN_SECONDS if overtaken else fault.seconds
            for consumer in self.linked():
                if matches(consumer.pattern, envelope.topic):
                    consumer.hold(envelope.headers.get("partition_key", ""), seconds, overtaken)

    def after(self, fault: Fault, position: int, envelope: Envelope) -> None:
        """What goes wrong once it is stored."""
        if fault.kind is FaultKind.DUPLICATE:
            loop = asyncio.get_running_loop()
            for consumer in self.linked():
                loop.call_later(AGAIN_SECONDS, consumer.offer, position, envelope)

    def forget(self, envelope: Envelope, identity: str) -> None:
        """Lose a stored message as if it had not been; who got it, got it."""
        for place in range(len(self.stored) - 1, -1, -1):
            if self.stored[place] is envelope:
                self.stored[place] = Envelope("", envelope.headers, b"")
                self.lost.add(place)
                break
        self.recent.pop(identity, None)

    def cut(self, seconds: float) -> None:
        """Let nothing pass for some seconds."""
        self.link.clear()
        asyncio.get_running_loop().call_later(seconds, self.heal)

    def heal(self) -> None:
        """Let everything pass again, and hold no key back."""
        self.link.set()

    def new_consumer(self, pattern: str) -> SimulatedConsumer:
        """A group whose link is this broker's."""
        return SimulatedConsumer(pattern, ack_wait=ACK_SECONDS, turns=self.turns, link=self.link)

    def end(self) -> None:
        """No more faults: heal, and hand out what is held back."""
        self.faults.clear()
        self.heal()
        for consumer in self.linked():
            for key in list(consumer.holding):
                consumer.release(key)

    def linked(self) -> list[SimulatedConsumer]:
        """All groups."""
        return [item for item in self.consumers.values() if isinstance(item, SimulatedConsumer)]

    def leave(self) -> None:
        """A binding let go of the broker: what it had in hand goes to the next."""
        for consumer in self.linked():
            consumer.hand_back()


class SimulatedProbe(MemoryProbe):
    """Sees what the broker has not lost, and can end the faults."""

    def __init__(self, broker: SimulatedBroker) -> None:
        super().__init__(broker)
        self.simulation = broker

    async def stored(self) -> list[Envelope]:
        """All of the stream that is still there."""
        lost = self.simulation.lost
        return [item for position, item in enumerate(self.simulation.stored) if position not in lost]


@asynccontextmanager
async def simulated(schedule: Schedule) -> AsyncIterator[tuple[Endpoint, SimulatedProbe]]:
    """A broker that plays a schedule. Must be opened in virtual time, and rules it until the block ends."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    broker = SimulatedBroker(schedule)
    loop.rule(broker.turns.next)
    try:
        yield Endpoint("memory", "memory", broker), SimulatedProbe(broker)
    finally:
        broker.turns.close()
        loop.rule(None)
