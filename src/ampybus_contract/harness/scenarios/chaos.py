"""Producers, a group that takes all, and what a schedule does to them; at the end everything heals."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from ampybus_contract.bindings.protocol import Settlement
from ampybus_contract.brokers.simulation import Fault, FaultKind
from ampybus_contract.brokers.simulation.broker import SimulatedBroker
from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.history import Outcome
from ampybus_contract.harness.stage import Stage

PRODUCERS = 3
TRIES = 12
CRASHES = frozenset({FaultKind.CRASH_BEFORE_EFFECT, FaultKind.CRASH_AFTER_EFFECT})
GARBAGE = b"\xff"


class Chaos:
    """One schedule on a stage. Each producer has keys of its own."""

    def __init__(self, stage: Stage, broker: SimulatedBroker) -> None:
        self.stage = stage
        self.broker = broker
        self.schedule = broker.schedule
        self.domain = stage.workload.keyed_domain()
        keys = stage.workload.keys(self.domain)
        self.made = [stage.workload.envelope(self.domain, n % keys) for n in range(self.schedule.messages)]
        self.placed: dict[int, list[Fault]] = defaultdict(list)
        for fault in self.schedule.faults:
            self.placed[fault.message].append(fault)
        self.numbers = {item.headers["message_id"].lower(): n for n, item in enumerate(self.made)}
        self.left = set(self.numbers)
        self.done = asyncio.Event()
        self.up = asyncio.Event()
        self.up.set()
        self.publishing = 0
        self.rest = asyncio.Event()
        self.crashing: asyncio.Task[None] | None = None

    async def play(self) -> None:
        """Publish all, heal, and wait until all took effect and nothing is left in hand."""
        await self.listen()
        for fault in self.schedule.faults:
            self.stage.fault(f"{fault.kind} at message {fault.message}, {fault.seconds} s")
        async with asyncio.TaskGroup() as producers:
            for number in range(PRODUCERS):
                producers.create_task(self.produce(number))
        self.broker.end()
        try:
            async with asyncio.timeout(self.stage.patience * 2):
                await self.done.wait()
        except TimeoutError:
            return
        if self.crashing is not None:
            await self.crashing
        await self.stage.drained()
        await self.stage.rests()

    async def listen(self) -> None:
        """Subscribe the group."""
        await self.stage.subscribe(self.stage.pattern(self.domain), answer=self.answer, pause=self.pause)

    async def produce(self, producer: int) -> None:
        """Publish the messages of this producer's keys; what has no definite outcome again, as the same."""
        lanes = sorted({item.headers.get("partition_key", "") for item in self.made})
        for number, envelope in enumerate(self.made):
            if lanes.index(envelope.headers.get("partition_key", "")) % PRODUCERS != producer:
                continue
            await self.publish(envelope, f"producer-{producer}")
            if any(fault.kind is FaultKind.CORRUPT for fault in self.placed.get(number, ())):
                other = self.stage.workload.envelope(self.domain)
                await self.stage.inject(Envelope(other.topic, other.headers, GARBAGE + other.payload))

    async def publish(self, envelope: Envelope, actor: str) -> None:
        """Publish while the binding is up, until there is a definite outcome."""
        for _ in range(TRIES):
            await self.up.wait()
            self.publishing += 1
            self.rest.clear()
            outcome = await self.stage.publish_one(envelope, actor)
            self.publishing -= 1
            if not self.publishing:
                self.rest.set()
            if outcome is not Outcome.INFO:
                return

    def answer(self, envelope: Envelope, _attempt: int) -> Settlement:
        """Everything is applied."""
        self.left.discard(envelope.headers.get("message_id", "").lower())
        if not self.left:
            self.done.set()
        return Settlement.OK

    async def pause(self, envelope: Envelope, _attempt: int) -> None:
        """Wait for a turn; a crash may come instead."""
        await self.broker.turns.turn()
        number = self.numbers.get(envelope.headers.get("message_id", "").lower(), -1)
        crashes = [fault for fault in self.placed.get(number, ()) if fault.kind in CRASHES]
        if not crashes or (self.crashing is not None and not self.crashing.done()):
            return
        self.placed[number].remove(crashes[0])
        ready = asyncio.Event()
        self.crashing = asyncio.create_task(self.crash(crashes[0].kind, ready))
        await ready.wait()

    async def crash(self, kind: FaultKind, ready: asyncio.Event) -> None:
        """End the binding once no publish is under way, and let another take over.

        ``ready`` is set when the message in hand may go on; before an effect it never may.
        """
        self.up.clear()
        if self.publishing:
            await self.rest.wait()
        if kind is FaultKind.CRASH_BEFORE_EFFECT:
            await self.stage.kill()
        else:
            await self.stage.crash(ready)
        await self.listen()
        self.up.set()


def bearable(claims: frozenset[str], crashes: bool, resumes: bool) -> frozenset[FaultKind]:
    """Without deduplication what repeats a message is left out, without a DLQ what spoils one."""
    kinds = {FaultKind.REORDER, FaultKind.DELAY}
    if "deduplication" in claims:
        kinds |= {FaultKind.DROP, FaultKind.LOST_ACK, FaultKind.TRUNCATED_TAIL}
        kinds |= {FaultKind.DUPLICATE, FaultKind.PARTITION}
    if "dlq" in claims:
        kinds.add(FaultKind.CORRUPT)
    if "durable_effects" in claims and crashes:
        kinds.add(FaultKind.CRASH_AFTER_EFFECT)
        if resumes:
            kinds.add(FaultKind.CRASH_BEFORE_EFFECT)
    return frozenset(kinds)


async def chaos(stage: Stage) -> None:
    """The schedule of the simulation that the stage stands on."""
    broker = stage.endpoint and stage.endpoint.native
    assert isinstance(broker, SimulatedBroker)
    await Chaos(stage, broker).play()
