"""The in-process broker: stores messages in order, redelivers what is not acknowledged in time."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, TypeVar

from ampybus_contract.brokers.endpoint import Endpoint
from ampybus_contract.brokers.levers import LEVERS
from ampybus_contract.brokers.virtual_time import run_virtual
from ampybus_contract.envelope import Envelope
from ampybus_contract.envelope.pattern import matches
from ampybus_contract.errors import BrokerError

ACK_WAIT_SECONDS = 30.0
WINDOW_SECONDS = 120.0
MOST_COPIES = 50
CLOCK_START = 1_757_100_661_000_000_000

T = TypeVar("T")


@dataclass(slots=True)
class MemoryConsumer:
    """One consumer group: what is still to be handed out, and what is out without an ack.

    ``left`` is what a client had in hand when another one took its place: that comes again before anything
    newer, in stored order, once the time to acknowledge it is over (D20).
    """

    pattern: str
    waiting: deque[tuple[int, Envelope]] = field(default_factory=deque)
    pending: dict[int, asyncio.TimerHandle] = field(default_factory=dict)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    ack_wait: float = ACK_WAIT_SECONDS
    left: set[int] = field(default_factory=set)

    def offer(self, position: int, envelope: Envelope) -> None:
        """Queue a message where the pattern covers its topic."""
        if matches(self.pattern, envelope.topic):
            self.waiting.append((position, envelope))
            self.arrived.set()

    async def take(self) -> tuple[int, Envelope]:
        """The next message; it comes again unless acknowledged within ``ack_wait`` seconds."""
        while self.left or not self.waiting:
            self.arrived.clear()
            await self.arrived.wait()
        position, envelope = self.waiting.popleft()
        timer = asyncio.get_running_loop().call_later(self.ack_wait, self._again, position, envelope)
        self.pending[position] = timer
        return position, envelope

    def ack(self, position: int) -> None:
        """Acknowledge; a second time changes nothing."""
        timer = self.pending.pop(position, None)
        if timer is not None:
            timer.cancel()
        self._returned(position)

    def taken_over(self) -> None:
        """Another client takes the place of the one before it."""
        self.left = set(self.pending)

    def _again(self, position: int, envelope: Envelope) -> None:
        self.pending.pop(position, None)
        self.waiting.append((position, envelope))
        self._returned(position)
        self.arrived.set()

    def _returned(self, position: int) -> None:
        """Have no more to wait for of what was left: with the last of it, all is in stored order again."""
        if position not in self.left:
            return
        self.left.discard(position)
        if not self.left:
            self.waiting = deque(sorted(self.waiting, key=itemgetter(0)))
            self.arrived.set()


class MemoryBroker:
    """A stream of everything published, and its consumer groups. No message is ever dropped.

    A repeated id is stored once within ``window`` seconds; ``accepted`` patterns are all it takes, None is
    everything; with ``acks_lost`` it stores and does not say so. ``times`` are those of storing, in
    nanoseconds since the epoch by a clock that begins at ``CLOCK_START``.
    """

    def __init__(self) -> None:
        self.stored: list[Envelope] = []
        self.times: list[int] = []
        self.consumers: dict[str, MemoryConsumer] = {}
        self.grown = asyncio.Event()
        self.window = WINDOW_SECONDS
        self.recent: dict[str, float] = {}
        self.copies: Counter[Envelope] = Counter()
        self.accepted: Sequence[str] | None = None
        self.acks_lost = False

    def publish(self, envelope: Envelope, identity: str = "") -> None:
        """Store and offer to every group, unless the identity came before within the window.

        Raises BrokerError for a topic that is not accepted.
        """
        if self.accepted is not None and not any(matches(one, envelope.topic) for one in self.accepted):
            raise BrokerError(f"BROKER expected an accepted topic, got {envelope.topic}. Fix: wait")
        if identity:
            now = asyncio.get_running_loop().time()
            if now < self.recent.get(identity, now):
                return
            self.recent[identity] = now + self.window
        position = len(self.stored)
        self.stored.append(envelope)
        self.times.append(self.now())
        grown, self.grown = self.grown, asyncio.Event()
        grown.set()
        for consumer in self.consumers.values():
            consumer.offer(position, envelope)

    async def store(self, envelope: Envelope, identity: str = "") -> bool:
        """Publish as a client does; False where no answer comes, whether it is stored or not.

        Raises BrokerError as ``publish``, and for the copies of one message beyond ``MOST_COPIES``: who
        stores again what it reads would go on for ever in no time.
        """
        self.copies[envelope] += 1
        if self.copies[envelope] > MOST_COPIES:
            raise BrokerError(
                f"BROKER expected at most {MOST_COPIES} copies of one message, got another one. "
                "Fix: end the loop that stores what it reads"
            )
        self.publish(envelope, identity)
        return not self.acks_lost

    def leave(self) -> None:
        """A client let go; what it holds comes again when its time is over."""

    def new_consumer(self, pattern: str) -> MemoryConsumer:
        """A group that was offered nothing yet."""
        return MemoryConsumer(pattern)

    def now(self) -> int:
        """The time of this broker, in nanoseconds since the epoch."""
        return CLOCK_START + round(asyncio.get_running_loop().time() * 1e9)

    def consumer(self, group: str, pattern: str) -> MemoryConsumer:
        """The group of that name, for another client of it; a new one starts with the oldest message."""
        if group in self.consumers:
            self.consumers[group].taken_over()
        else:
            consumer = self.consumers[group] = self.new_consumer(pattern)
            for position, envelope in enumerate(self.stored):
                consumer.offer(position, envelope)
        return self.consumers[group]


class MemoryProbe:
    """Reads and writes the in-process stream directly."""

    def __init__(self, broker: MemoryBroker) -> None:
        self.broker = broker

    async def inject(self, envelope: Envelope) -> None:
        """Store as it is."""
        self.broker.publish(envelope)

    async def stored(self) -> list[Envelope]:
        """All of the stream."""
        return list(self.broker.stored)

    async def now(self) -> int:
        """Virtual time."""
        return self.broker.now()

    async def accept_only(self, patterns: Sequence[str] | None) -> None:
        """Refuse the rest."""
        self.broker.accepted = patterns

    async def lose_acks(self, lost: bool) -> None:
        """Store and say nothing."""
        self.broker.acks_lost = lost

    async def duplicate_window(self, seconds: float) -> None:
        """For what is published from now on."""
        self.broker.window = seconds

    async def redeliver_after(self, seconds: float) -> None:
        """For what is handed out from now on."""
        for consumer in self.broker.consumers.values():
            consumer.ack_wait = seconds

    async def held(self) -> int:
        """Handed out, of the group that has most."""
        return max((len(item.pending) for item in self.broker.consumers.values()), default=0)

    async def backlog(self) -> int:
        """Waiting and handed out, over all groups."""
        return sum(len(item.waiting) + len(item.pending) for item in self.broker.consumers.values())


class MemorySource:
    """A new in-process broker for each run, in virtual time."""

    name = "memory simulator"
    levers = LEVERS | {"member_expiry", "schedules"}

    def __init__(self) -> None:
        self.settings: Mapping[str, str] = {"clock": "virtual", "ack wait": f"{ACK_WAIT_SECONDS:g} s"}

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run in virtual time."""
        return run_virtual(main)

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[tuple[Endpoint, MemoryProbe]]:
        """A broker of its own."""
        broker = MemoryBroker()
        yield Endpoint("memory", "memory", broker), MemoryProbe(broker)
