"""Producers, a group that takes all, and what a schedule does to them; at the end everything heals."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection

from ampybus_contract.bindings.protocol import Binding, Crashes, Kills, Settlement
from ampybus_contract.brokers.simulation import Fault, FaultKind, Schedule
from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.history import Outcome
from ampybus_contract.harness.scenarios.incidents import CRASHES, Incidents, incidents, playable
from ampybus_contract.harness.schedules import Scheduled
from ampybus_contract.harness.stage import Stage, claims

PRODUCERS = 3
TRIES = 12
PAUSE_SECONDS = 0.1
PAUSE_GROWTH = 1.5
REFUSALS = 30
GARBAGE = b"\xff"


class Chaos:
    """One schedule on a stage. Each producer has keys of its own."""

    def __init__(self, stage: Stage, schedule: Schedule, around: Incidents) -> None:
        self.stage = stage
        self.schedule = schedule
        self.around = around
        self.domain = stage.workload.keyed_domain()
        self.made = [stage.workload.envelope(self.domain, key) for key in schedule.messages]
        self.placed: dict[int, list[Fault]] = defaultdict(list)
        for fault in schedule.faults:
            self.placed[fault.message].append(fault)
        self.numbers = {item.headers["message_id"].lower(): n for n, item in enumerate(self.made)}
        self.left = set(self.numbers)
        self.done = asyncio.Event()
        self.up = asyncio.Event()
        self.up.set()
        self.publishing = 0
        self.refused = 0
        self.rest = asyncio.Event()
        self.crashing: asyncio.Task[None] | None = None

    async def play(self) -> None:
        """Publish all, heal, and wait until all took effect and nothing is left in hand."""
        await self.listen()
        for fault in self.schedule.faults:
            self.stage.fault(f"placed: {fault.kind} at message {fault.message}, {fault.seconds:g} s")
        async with asyncio.TaskGroup() as tasks:
            for number in range(PRODUCERS):
                tasks.create_task(self.produce(number, tasks))
        await self.around.end()
        arrived = await self.around.caught_up(self.done)
        if self.crashing is not None and (arrived or self.crashing.done()):
            await self.crashing
        if not arrived:
            return
        await self.stage.drained()
        await self.stage.rests()

    async def listen(self) -> None:
        """Subscribe the group."""
        await self.stage.subscribe(self.stage.pattern(self.domain), answer=self.answer, pause=self.pause)
        await self.around.listening()

    async def produce(self, producer: int, tasks: asyncio.TaskGroup) -> None:
        """Publish the messages of this producer's keys; what has no definite outcome again, as the same."""
        lanes = sorted({item.headers.get("partition_key", "") for item in self.made})
        actor = f"producer-{producer}"
        for number, envelope in enumerate(self.made):
            if lanes.index(envelope.headers.get("partition_key", "")) % PRODUCERS != producer:
                continue
            faults = [*self.placed.get(number, ())]
            for fault in faults:
                await self.around.begin(fault, tasks)
            await self.publish(envelope, actor)
            for fault in faults:
                await self.around.after(fault, envelope)
                if fault.kind is FaultKind.REPEAT:
                    await self.publish(envelope, actor)
                if fault.kind is FaultKind.CORRUPT:
                    other = self.stage.workload.envelope(self.domain)
                    await self.around.inject(Envelope(other.topic, other.headers, GARBAGE + other.payload))

    async def publish(self, envelope: Envelope, actor: str) -> None:
        """Publish while the binding is up, until it is acknowledged, or refused although all is well."""
        pause = PAUSE_SECONDS
        for _ in range(TRIES):
            await self.up.wait()
            self.publishing += 1
            self.rest.clear()
            outcome = await self.stage.publish_one(envelope, actor)
            self.publishing -= 1
            if not self.publishing:
                self.rest.set()
            self.refused += outcome is Outcome.FAIL
            if outcome is Outcome.OK or self.refused > REFUSALS:
                return
            await asyncio.sleep(pause)
            pause *= PAUSE_GROWTH

    def answer(self, envelope: Envelope, _attempt: int) -> Settlement:
        """Everything is applied."""
        self.left.discard(envelope.headers.get("message_id", "").lower())
        if not self.left:
            self.done.set()
        return Settlement.OK

    async def pause(self, envelope: Envelope, _attempt: int) -> None:
        """Wait for a turn; a crash may come instead."""
        await self.around.turn()
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
        try:
            async with self.around.calm:
                if kind is FaultKind.CRASH_BEFORE_EFFECT:
                    await self.stage.kill()
                else:
                    await self.stage.crash(ready)
                await self.listen()
        finally:
            self.up.set()


def bearable(binding: Binding, levers: Collection[str]) -> frozenset[FaultKind]:
    """What this broker can do and this binding must bear, by what it claims.

    Without deduplication what repeats a message is left out, as a late acknowledgement on a real link does,
    without a DLQ what spoils one.
    """
    known = claims(binding)
    kinds = {FaultKind.REORDER}
    if "deduplication" in known or "schedules" in levers:
        kinds.add(FaultKind.DELAY)
    if "deduplication" in known:
        kinds |= {FaultKind.REPEAT, FaultKind.DROP, FaultKind.LOST_ACK, FaultKind.TRUNCATED_TAIL}
        kinds |= {FaultKind.DUPLICATE, FaultKind.PARTITION, FaultKind.PAUSE, FaultKind.RESTART}
    if "dlq" in known:
        kinds.add(FaultKind.CORRUPT)
    if "durable_effects" in known and isinstance(binding, Crashes):
        kinds.add(FaultKind.CRASH_AFTER_EFFECT)
        if isinstance(binding, Kills):
            kinds.add(FaultKind.CRASH_BEFORE_EFFECT)
    return frozenset(kinds) & playable(levers)


async def _play(stage: Stage, schedule: Schedule) -> None:
    async with incidents(stage, {fault.kind for fault in schedule.faults}) as around:
        await Chaos(stage, schedule, around).play()


chaos = Scheduled(_play, bearable)
