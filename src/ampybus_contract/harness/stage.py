"""Where a scenario plays: a binding, a broker and the history of what they do."""

from __future__ import annotations

import asyncio
import contextlib
import random
import traceback
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ampybus_contract.bindings.protocol import (
    Audits,
    Binding,
    Crashes,
    Endpoint,
    Handler,
    Kills,
    Lags,
    Redrives,
    Replays,
    Resumes,
    Settlement,
    Slows,
    Subscription,
)
from ampybus_contract.brokers.levers import (
    Maps,
    Partitions,
)
from ampybus_contract.brokers.location import with_credentials
from ampybus_contract.brokers.protocol import Probe
from ampybus_contract.brokers.virtual_time import VirtualTimeLoop
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.envelope.formula import fill
from ampybus_contract.errors import BindingCrashError
from ampybus_contract.harness.breadth import Breadth
from ampybus_contract.harness.history import RAISED, Operation, Outcome
from ampybus_contract.harness.objects import Objects
from ampybus_contract.harness.producing import CALL_SECONDS, Producing
from ampybus_contract.harness.recorder import NOTHING, SHOWN
from ampybus_contract.harness.sessions import Session
from ampybus_contract.harness.telemetry import shown

START_SECONDS = 6.0
MOST_DELIVERIES = 1_000
HEALING = 12
NOWHERE = "127.0.0.1:1"


Answer = Callable[[Envelope, int], Settlement]
Pause = Callable[[Envelope, int], Awaitable[None]]


class Stage(Producing):
    """Records every operation of a scenario. Each call to the binding has a deadline."""

    def __init__(
        self,
        contract: Contract,
        make: Callable[[], Binding],
        probe: Probe,
        seed: int,
        patience: float,
        recovery: float | None = None,
        breadth: Breadth = Breadth.EACH,
    ) -> None:
        super().__init__(contract, make(), probe, seed, patience, recovery)
        self.seed = seed
        self.breadth = breadth
        self.make = make
        self.endpoint: Endpoint | None = None
        self.alive = False
        self.claims = claims(self.binding)
        self.token = f"{random.Random(f'names {seed}').getrandbits(32):08x}"
        self.groups: dict[str, str] = {}
        self.members: list[Binding] = []
        self.flooded = ""

    @property
    def virtual(self) -> bool:
        """Whether time is that of the simulation, so that hours cost nothing."""
        return isinstance(asyncio.get_running_loop(), VirtualTimeLoop)

    def pattern(self, domain: str, env: str = "") -> str:
        """The pattern for all topics of a domain, in the workload's environment or another."""
        topic = self.workload.envelope(domain, env=env).topic
        return ".".join([*topic.split(".")[:4], ">"])

    def dead_letters(self, domain: str, env: str = "") -> str:
        """The topic of a domain's dead letters, in the workload's environment or another; ``>`` for all."""
        parts = {"prefix": self.contract.topic.prefix, "env": env or self.workload.env, "domain": domain}
        return fill(self.contract.dead_letter.topic, parts)

    async def open(self, endpoint: Endpoint) -> None:
        """Start the binding. Raises BindingCrashError where it fails or takes too long."""
        self.endpoint = endpoint
        await self._call("start", self.binding.start(endpoint))
        self.alive = True

    async def close(self) -> None:
        """Read back what the broker holds, then stop the binding."""
        stored = await self.probe.stored()
        unmapped = self.probe.unmapped if isinstance(self.probe, Maps) else {}
        parts = self.probe.partitions if isinstance(self.probe, Partitions) else [0] * len(stored)
        ours = {item.envelope for item in self.history if item.operation is Operation.INJECT}
        for place, envelope in enumerate(stored):
            strange = "" if envelope in ours else unmapped.get(place, "")
            self._record("wire", Operation.STORE, Outcome.OK, envelope, error=strange, count=parts[place])
        for member in self.members:
            await self._call("stop", member.stop())
        if self.alive:
            await self._call("stop", self.binding.stop())
            if claims(self.binding) != self.claims:
                raise BindingCrashError(changed_claims(self.claims, claims(self.binding)))
        if self.endpoint is not None and self.endpoint.telemetry is not None:
            for operation, written in shown(self.endpoint.telemetry):
                text = self._with_actors(written)
                self._record("telemetry", operation, Outcome.OK, NOTHING, error=text[:SHOWN], said=text)

    async def lag(self, expected: int, group: str = "consumer") -> None:
        """Note the lag that the binding reports; it has until ``patience`` to report the expected one."""
        binding = self.binding
        if not isinstance(binding, Lags):
            raise BindingCrashError("BINDING expected lag(group), as claimed. Fix: add the method")
        said: list[int] = []

        async def ask() -> int:
            said.append(await self._call("lag", binding.lag(self._named(group))))
            return said[-1]

        await self._becomes(ask, lambda count: count == expected)
        self._record(group, Operation.LAG, Outcome.OK, NOTHING, error=f"lag {said[-1]}", count=said[-1])

    async def slow_down(self, levels: int) -> None:
        """Tell the binding to hold back so many of the lowest priorities."""
        if not isinstance(self.binding, Slows):
            raise BindingCrashError("BINDING expected slow_down(levels), as claimed. Fix: add the method")
        self._record("operator", Operation.SLOW, Outcome.OK, NOTHING, error=f"{levels} levels", count=levels)
        await self._call("slow_down", self.binding.slow_down(levels))

    async def crash(self, ready: asyncio.Event) -> None:
        """Crash the binding with the next effect, once ``ready`` lets it come; another takes its place."""
        if not isinstance(self.binding, Crashes):
            raise BindingCrashError("BINDING expected crash(), as claimed. Fix: add the method")
        crash = asyncio.create_task(self.binding.crash())
        await asyncio.sleep(0)
        ready.set()
        await self._call("crash", crash)
        self.alive = False
        self.fault("the binding crashed")
        self.binding = self.make()
        assert self.endpoint is not None
        await self.open(self.endpoint)

    async def redrive(self, pattern: str, limit: int) -> None:
        """Have the binding publish dead letters again. Raises BindingCrashError where it cannot."""
        if not isinstance(self.binding, Redrives):
            raise BindingCrashError(
                "BINDING expected redrive(pattern, limit), as claimed. Fix: add the method"
            )
        self._record("operator", Operation.REDRIVE, Outcome.OK, NOTHING, pattern=pattern)
        await self._call("redrive", self.binding.redrive(pattern, limit))

    async def crash_after(self, *envelopes: Envelope) -> None:
        """Publish, and crash the binding before it acknowledges; another one is started in its place.

        Raises BindingCrashError where the crash does not come, or leaves nothing to be done again.
        """
        if not isinstance(self.binding, Crashes):
            raise BindingCrashError("BINDING expected crash(), as claimed. Fix: add the method")
        crash = asyncio.create_task(self.binding.crash())
        await asyncio.sleep(0)
        await self.publish(*envelopes)
        await self._call("crash", crash)
        self.alive = False
        self.fault("the binding crashed")
        if not await self.backlog():
            raise BindingCrashError(
                "BINDING expected a crash before the acknowledgement, all is acknowledged"
            )
        self.binding = self.make()
        assert self.endpoint is not None
        await self.open(self.endpoint)

    async def capture(self, pattern: str) -> Session:
        """Have the binding write what is stored under a pattern into a session file, and note each record."""
        session = Session(self.state / "session.jsonl")
        await self._call("capture", self._auditor.capture(pattern, session.path))
        for number, envelope, digest in session.records():
            self._record("auditor", Operation.CAPTURE, Outcome.OK, envelope, 1, pattern, digest, number)
        return session

    async def audit(self, session: Session) -> None:
        """Note what was done to a session, and what the binding finds in it."""
        for damage, number in session.done:
            self._record("stranger", Operation.TAMPER, Outcome.OK, NOTHING, error=damage, count=number)
        found = await self._call("audit", self._auditor.audit(session.path))
        for damage, number in [("", 0), *found]:
            self._record(
                "auditor", Operation.AUDIT, Outcome.OK, NOTHING, error=str(damage), count=int(number)
            )

    def metrics(self) -> None:
        """Note the metrics that the binding has shown so far."""
        assert self.endpoint is not None
        assert self.endpoint.telemetry is not None
        for operation, written in shown(self.endpoint.telemetry):
            if operation is Operation.METRICS:
                text = self._with_actors(written)
                self._record("telemetry", operation, Outcome.OK, NOTHING, error=text[:SHOWN], said=text)

    @property
    def _auditor(self) -> Audits:
        if not isinstance(self.binding, Audits):
            raise BindingCrashError(
                "BINDING expected capture() and audit(), as claimed. Fix: add the methods"
            )
        return self.binding

    @property
    def state(self) -> Path:
        """The directory for what survives the binding."""
        assert self.endpoint is not None
        assert self.endpoint.state is not None
        return self.endpoint.state

    async def subscribe(
        self, pattern: str, group: str = "consumer", answer: Answer | None = None, pause: Pause | None = None
    ) -> None:
        """Subscribe a group; ``answer`` settles by envelope and attempt, from 1; default: all applied.

        ``pause`` is what the handler does between a delivery and its answer.
        """
        handle = self._handler(pattern, group, answer, pause)
        self._record(group, Operation.SUBSCRIBE, Outcome.OK, NOTHING, pattern=pattern)
        await self._call("subscribe", self.binding.subscribe(self._subscription(pattern, group), handle))

    async def join(self, pattern: str, group: str = "consumer", pause: Pause | None = None) -> Binding:
        """Start another binding, with a state of its own, as a member of a group."""
        member = self.make()
        self.members.append(member)
        state = self.state / f"member-{len(self.history)}"
        state.mkdir()
        await self._call("start", member.start(replace(self.place, state=state, telemetry=None)))
        handle = self._handler(pattern, group, None, pause)
        self._record(group, Operation.SUBSCRIBE, Outcome.OK, NOTHING, pattern=pattern)
        await self._call("subscribe", member.subscribe(self._subscription(pattern, group), handle))
        self.fault("a member joined")
        return member

    async def part(self, member: Binding) -> None:
        """Let a member of a group go."""
        self.members.remove(member)
        await self._call("stop", member.stop())
        self.fault("a member left")

    async def take_replays(
        self,
        pattern: str,
        group: str = "replayer",
        pause: Pause | None = None,
        answer: Answer | None = None,
    ) -> None:
        """Let a group take what is replayed under a pattern. Raises BindingCrashError where it cannot."""
        if not isinstance(self.binding, Replays):
            raise BindingCrashError(
                "BINDING expected take_replays(subscription, handler), as claimed. Fix: add the method"
            )
        handle = self._handler(pattern, group, answer, pause)
        self._record(group, Operation.REPLAY, Outcome.OK, NOTHING, pattern=pattern)
        await self._call(
            "take_replays", self.binding.take_replays(self._subscription(pattern, group), handle)
        )

    async def resume(self, pattern: str, group: str = "consumer", pause: Pause | None = None) -> None:
        """Let a group go on from its checkpoint. Raises BindingCrashError where it cannot."""
        if not isinstance(self.binding, Resumes):
            raise BindingCrashError("BINDING expected resume() and kill(), as claimed. Fix: add the methods")
        handle = self._handler(pattern, group, None, pause)
        self._record(group, Operation.SUBSCRIBE, Outcome.OK, NOTHING, pattern=pattern)
        await self._call("resume", self.binding.resume(self._subscription(pattern, group), handle))

    async def kill(self) -> None:
        """End the binding at once, and start another in its place, with the same state."""
        if not isinstance(self.binding, Kills):
            raise BindingCrashError("BINDING expected kill(), as claimed. Fix: add the method")
        await self._call("kill", self.binding.kill())
        self.alive = False
        self.fault("the binding was killed")
        self.binding = self.make()
        assert self.endpoint is not None
        await self.open(self.endpoint)

    def _named(self, group: str) -> str:
        """The name of a group as the binding gets it: drawn from the seed, so that it marks no suite."""
        name = f"group-{zlib.crc32(f'{self.token} {group}'.encode()):08x}"
        self.groups[name] = group
        return name

    def _with_actors(self, text: str) -> str:
        """What the binding wrote, with the actors of the history in place of the groups it knew."""
        for name, group in self.groups.items():
            text = text.replace(name, group)
        return text

    def _subscription(self, pattern: str, group: str) -> Subscription:
        return Subscription(pattern, self._named(group))

    def _handler(self, pattern: str, group: str, answer: Answer | None, pause: Pause | None) -> Handler:
        attempts: dict[tuple[str, bytes], int] = {}

        async def handle(envelope: Envelope) -> Settlement:
            name = (envelope.headers.get("message_id", ""), envelope.payload)
            attempt = attempts[name] = attempts.get(name, 0) + 1
            if attempt > MOST_DELIVERIES:
                self.flooded = (
                    f"BINDING expected at most {MOST_DELIVERIES} deliveries of one message, got more. "
                    "Fix: pause before a retry, and bound it"
                )
                await asyncio.Event().wait()
            self._record(group, Operation.DELIVER, Outcome.OK, envelope, attempt, pattern)
            if pause is not None:
                await pause(envelope, attempt)
            try:
                settlement = answer(envelope, attempt) if answer else Settlement.OK
            except Exception:
                self._record(group, Operation.SETTLE, Outcome.OK, envelope, attempt, pattern, RAISED)
                raise
            if settlement is Settlement.OK:
                self._record(group, Operation.EFFECT, Outcome.OK, envelope, attempt, pattern)
            else:
                self._record(group, Operation.SETTLE, Outcome.OK, envelope, attempt, pattern, str(settlement))
            return settlement

        return handle

    async def healed(self, envelopes: Sequence[Envelope], seconds: float = 0) -> bool:
        """As ``applied`` after a fault: as patient as brokers are with what a lost client had in hand.

        What the broker does not hold is not waited for, and nothing for long where publishing did not resume.
        """
        held = {item.headers.get("message_id", "").lower() for item in await self.probe.stored()}
        due = [item for item in envelopes if item.headers.get("message_id", "").lower() in held]
        return await self.applied(due, seconds=0 if self.gave_up else max(seconds, HEALING * self.patience))

    async def applied(
        self, envelopes: Sequence[Envelope], group: str = "consumer", seconds: float = 0
    ) -> bool:
        """Wait until all that were not refused took effect in a group.

        Gives up, with False, when nothing happens for ``patience`` seconds, or ``seconds`` if that is more.
        """
        wanted = {item.headers.get("message_id", "").lower() for item in envelopes}
        missing = wanted - (self.refused - self.accepted)
        return await self._until(lambda: self._has_applied(group, missing), seconds)

    async def settled(self, envelopes: Sequence[Envelope]) -> bool:
        """As ``applied``, in any group; what repeats another one by its dedupe key is settled with that."""
        names = {item.headers.get("message_id", "").lower(): repeated(item) for item in envelopes}
        wanted, read = {*names, *names.values()}, 0

        def done() -> bool:
            nonlocal read
            for item in self.history[read:]:
                if item.operation is Operation.EFFECT:
                    wanted.difference_update((item.id, repeated(item.envelope)))
                elif item.outcome is Outcome.FAIL:
                    wanted.discard(item.id)
            read = len(self.history)
            return not any(name in wanted and once in wanted for name, once in names.items())

        return await self._until(done)

    def pointer(self, domain: str, key: int = 0) -> Envelope:
        """A valid pointer envelope: to an object that is there, where the binding will look for it."""
        plain = self.workload.pointer(domain, key)
        if "pointer" not in self.claims:
            return plain
        identity = plain.headers["message_id"]
        payload = self.workload.envelope(domain, key).payload
        return Envelope(plain.topic, plain.headers.with_(**self.objects.put(identity, payload)), b"")

    @property
    def objects(self) -> Objects:
        """The objects of this run."""
        assert self.endpoint is not None
        assert self.endpoint.blobs is not None
        return Objects(self.contract, self.endpoint.blobs)

    async def spoil(self, envelope: Envelope, how: Operation) -> None:
        """Replace or remove the stored payload of a published message, if it has one."""
        identity = envelope.headers["message_id"]
        for item in await self.probe.stored():
            whole = all(name in item.headers for name in self.contract.pointer_headers)
            if item.headers.get("message_id") == identity and whole:
                spoiling = self.objects.replace if how is Operation.REPLACE else self.objects.remove
                spoiling(item.headers)
                self._record("store", how, Outcome.OK, envelope)
                return

    async def enter(self, user: str, password: str) -> None:
        """Start the binding anew with credentials in its URL, and telemetry; where it refuses, as it was.

        What it says to a broker that is not there is recorded, too.
        """
        assert self.endpoint is not None
        plain = replace(self.endpoint, telemetry=self.endpoint.state and self.endpoint.state / "telemetry")
        self._record("operator", Operation.SECRET, Outcome.OK, NOTHING, said=password)
        nowhere = replace(plain, url=with_credentials(plain.url, user, password, NOWHERE), native=None)
        await self._fails("start without a broker", self.make(), nowhere)
        await self._call("stop", self.binding.stop())
        self.binding, self.endpoint = self.make(), plain
        given = replace(plain, url=with_credentials(plain.url, user, password))
        self.show("the endpoint", repr(given))
        if await self._fails("start with credentials", self.binding, given):
            self.binding = self.make()
            await self._call("start", self.binding.start(plain))

    @property
    def place(self) -> Endpoint:
        """The endpoint of this run."""
        assert self.endpoint is not None
        return self.endpoint

    async def stop(self) -> None:
        """Stop the binding before the end of the scenario."""
        await self._call("stop", self.binding.stop())
        self.alive = False

    async def move(self, endpoint: Endpoint) -> None:
        """Stop the binding, and start another one on another endpoint."""
        await self.stop()
        self.endpoint = endpoint
        await self.begin_again()

    async def begin_again(self) -> None:
        """Start another binding in the place of the one that has ended."""
        self.fault("the binding ended, and another took its place")
        self.binding = self.make()
        await self.open(self.place)

    async def meet(self, wrong: str, endpoint: Endpoint, read: Callable[[], int] = lambda: 0) -> None:
        """Start another binding on an endpoint, publish there, and note how that went.

        ``wrong`` is why it must not go well, ``read`` counts the bytes that a stranger could read.
        """
        binding, envelope = self.make(), self.workload.envelope(self.workload.keyed_domain())
        outcome, error = Outcome.OK, wrong
        deadline = asyncio.timeout(CALL_SECONDS)
        try:
            async with deadline:
                await binding.start(replace(endpoint, state=None, telemetry=None))
                await binding.publish(envelope)
        except Exception as refusal:
            outcome = Outcome.INFO if deadline.expired() else Outcome.FAIL
            error = f"{type(refusal).__name__}: {refusal}"
        with contextlib.suppress(Exception):
            async with asyncio.timeout(CALL_SECONDS):
                await binding.stop()
        self._record("stranger", Operation.CONNECT, outcome, envelope, 1, wrong, error, read())

    async def _fails(self, what: str, binding: Binding, endpoint: Endpoint) -> bool:
        """Start a binding, and record what it says where it fails."""
        try:
            async with asyncio.timeout(START_SECONDS):
                await binding.start(endpoint)
        except Exception as error:
            self.show(what, "".join(traceback.format_exception(error)))
            return True
        finally:
            self.show(what, repr(binding))
        return False


def repeated(envelope: Envelope) -> str:
    """What the repeats of a message share: its dedupe key within environment and domain, else its id."""
    key = envelope.headers.get("dedupe_key")
    if key is None:
        return envelope.headers.get("message_id", "").lower()
    return ".".join([*envelope.topic.split(".")[1:3], key])


def changed_claims(before: frozenset[str], after: frozenset[str]) -> str:
    """The sentence about a binding that does not claim the same all the time."""
    return (
        f"BINDING expected the same capabilities all the time, got {', '.join(sorted(before)) or 'none'} and "
        f"then {', '.join(sorted(after)) or 'none'}. Fix: decide what it claims before it starts"
    )


def claims(binding: Binding) -> frozenset[str]:
    """The capabilities that a binding claims beyond publish and subscribe."""
    return frozenset(getattr(binding, "capabilities", ()))
