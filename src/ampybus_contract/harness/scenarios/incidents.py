"""How the faults of a schedule come about: in the simulation, or on a real broker and the link to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, nullcontext
from typing import Protocol

from ampybus_contract.brokers.proxy import Direction, FaultProxy, Link
from ampybus_contract.brokers.simulation import Fault, FaultKind
from ampybus_contract.brokers.simulation.broker import SimulatedBroker
from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.scenarios.disturbed import REDELIVERY_SECONDS, linked
from ampybus_contract.harness.stage import HEALING, Stage

LINK = frozenset({FaultKind.DROP, FaultKind.LOST_ACK, FaultKind.DELAY, FaultKind.PARTITION})
WIRE = frozenset({FaultKind.REPEAT, FaultKind.DUPLICATE})
CRASHES = frozenset({FaultKind.CRASH_BEFORE_EFFECT, FaultKind.CRASH_AFTER_EFFECT})
PLAYED: Mapping[str, frozenset[FaultKind]] = {
    "schedules": frozenset(FaultKind) - {FaultKind.PAUSE, FaultKind.RESTART},
    "backlog": WIRE | CRASHES,
    "duplicate_window": frozenset({FaultKind.CORRUPT}),
    "proxy": LINK,
    "pause": frozenset({FaultKind.PAUSE}),
    "restart": frozenset({FaultKind.RESTART}),
}
"""What a broker can be made to do, by its levers.

Where no repeated id is dropped, a consumer that dies may bury what cannot be decoded twice: at least once.
"""


def playable(levers: Collection[str]) -> frozenset[FaultKind]:
    """The faults that a broker with these levers can play; the simulation plays its own and no others."""
    if "schedules" in levers:
        return PLAYED["schedules"]
    return frozenset().union(*(PLAYED[name] for name in PLAYED if name in levers))


class Incidents(Protocol):
    """What goes wrong around a binding, and when it is over."""

    calm: asyncio.Lock
    """Whoever holds it is left alone: nothing new goes wrong meanwhile."""

    async def listening(self) -> None:
        """A group has subscribed."""

    async def turn(self) -> None:
        """Wait until a consumer may go on."""

    async def begin(self, fault: Fault, tasks: asyncio.TaskGroup) -> None:
        """Let a fault begin, before its message is published; it ends by itself."""

    async def end(self) -> None:
        """Heal everything; nothing more goes wrong."""

    async def after(self, fault: Fault, envelope: Envelope) -> None:
        """What goes wrong once a message is published."""

    async def inject(self, envelope: Envelope) -> None:
        """Let somebody else put an envelope on the wire."""

    async def caught_up(self, done: asyncio.Event) -> bool:
        """Wait for what the faults have held up, as long as it may still come."""


class SimulatedIncidents:
    """Those of the simulated broker, which plays them by itself."""

    def __init__(self, stage: Stage, broker: SimulatedBroker) -> None:
        self.stage = stage
        self.calm = asyncio.Lock()
        self.broker = broker

    async def listening(self) -> None:
        """The broker knows when to hand out again."""

    async def turn(self) -> None:
        """As the schedule has it."""
        await self.broker.turns.turn()

    async def begin(self, fault: Fault, tasks: asyncio.TaskGroup) -> None:
        """The broker counts messages."""

    async def after(self, fault: Fault, envelope: Envelope) -> None:
        """The broker hands out."""

    async def inject(self, envelope: Envelope) -> None:
        """The broker takes it at any time."""
        await self.stage.inject(envelope)

    async def end(self) -> None:
        """Tell the broker."""
        self.broker.end()

    async def caught_up(self, done: asyncio.Event) -> bool:
        """The patience of the stage is virtual."""
        return await _comes(done, self.stage.patience * 2)


class RealIncidents:
    """Those of a real broker, one after another: the next begins when the one before is over."""

    def __init__(self, stage: Stage, link: FaultProxy | None) -> None:
        self.stage = stage
        self.link = link
        self.calm = asyncio.Lock()

    async def listening(self) -> None:
        """Let come soon what is handed out to a binding that dies."""
        await self.stage.consumers.redeliver_after(REDELIVERY_SECONDS)

    async def turn(self) -> None:
        """Whoever comes goes on."""

    async def begin(self, fault: Fault, tasks: asyncio.TaskGroup) -> None:
        """Wait for the one before, and begin."""
        if fault.kind not in PLAYED["proxy"] | PLAYED["pause"] | PLAYED["restart"]:
            return
        begun = asyncio.Event()
        tasks.create_task(self._last(fault, begun))
        await begun.wait()

    async def _last(self, fault: Fault, begun: asyncio.Event) -> None:
        async with self.calm:
            try:
                await self._strike(fault)
            finally:
                begun.set()
            try:
                await asyncio.sleep(fault.seconds)
            finally:
                await self._heal(fault)
            self.stage.fault(f"{fault.kind} at message {fault.message} is over")

    async def _strike(self, fault: Fault) -> None:
        if fault.kind is FaultKind.PAUSE:
            await self.stage.pauses.pause()
        elif fault.kind is FaultKind.RESTART:
            await self.stage.restarts.kill()
        elif self.link is None:
            return
        elif fault.kind is FaultKind.PARTITION:
            self.link.cut()
        elif fault.kind is FaultKind.DELAY:
            self.link.set(Link(latency_seconds=fault.seconds))
        else:
            gone = Direction.TO_SERVER if fault.kind is FaultKind.DROP else Direction.TO_CLIENT
            self.link.set(Link(black_hole=True), gone)
        self.stage.fault(f"{fault.kind} at message {fault.message}")

    async def _heal(self, fault: Fault) -> None:
        if fault.kind is FaultKind.PAUSE:
            await self.stage.pauses.go_on()
        elif fault.kind is FaultKind.RESTART:
            await self.stage.restarts.restart()
        elif self.link is not None:
            if fault.kind in (FaultKind.DROP, FaultKind.LOST_ACK):
                self.link.reset()
            self.link.restore()

    async def after(self, fault: Fault, envelope: Envelope) -> None:
        """Somebody puts the message on the wire once more."""
        if fault.kind is FaultKind.DUPLICATE:
            await self.inject(envelope)

    async def inject(self, envelope: Envelope) -> None:
        """Between two faults: a broker that stands still or is down takes nothing of anybody."""
        async with self.calm:
            await self.stage.inject(envelope)

    async def end(self) -> None:
        """Wait for the last one."""
        async with self.calm:
            return

    async def caught_up(self, done: asyncio.Event) -> bool:
        """As patient as brokers are with what a lost client had in hand; not when nothing is left to do."""
        for _ in range(HEALING):
            if await _comes(done, self.stage.patience):
                return True
            if await self.stage.consumers.backlog() == 0:
                return False
        return False


async def _comes(done: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await done.wait()
    except TimeoutError:
        return False


@asynccontextmanager
async def incidents(stage: Stage, kinds: Collection[FaultKind]) -> AsyncIterator[Incidents]:
    """The way in which these kinds come about where a stage stands.

    On a real broker the binding is started anew behind a link that can be disturbed, where they need one.
    """
    broker = stage.place.native
    if isinstance(broker, SimulatedBroker):
        yield SimulatedIncidents(stage, broker)
        return
    needs_link = bool(LINK & {*kinds})
    async with linked(stage) if needs_link else nullcontext() as link:
        yield RealIncidents(stage, link)
        if needs_link:
            await stage.stop()
