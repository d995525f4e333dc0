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
from typing import TypeVar

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
    Backlog,
    Clock,
    Holds,
    Leads,
    Levers,
    Maps,
    Partitions,
    Pauses,
    Renews,
    Restarts,
)
from ampybus_contract.brokers.location import with_credentials
from ampybus_contract.brokers.protocol import Probe
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope, Headers
from ampybus_contract.envelope.formula import fill
from ampybus_contract.errors import BindingCrashError, BrokerError, PublishError
from ampybus_contract.harness.checkers import is_dead_letter
from ampybus_contract.harness.history import UNKNOWN, Event, Operation, Outcome
from ampybus_contract.harness.objects import Objects
from ampybus_contract.harness.sessions import Session
from ampybus_contract.harness.telemetry import shown
from ampybus_contract.harness.workload import Workload
from ampybus_contract.validation import InvalidEnvelopeError

CALL_SECONDS = 15.0
UNANSWERED = 2
QUIET_SECONDS = 0.3
BROKER_SECONDS = 3.0
SHOWN = 300
START_SECONDS = 6.0
MOST_DELIVERIES = 1_000
OUTAGE_SECONDS = 30.0
RETRY_SECONDS = 0.1
HEALING = 12
RETRY_GROWTH = 1.1
NOWHERE = "127.0.0.1:1"
NOTHING = Envelope("", Headers({}), b"")

T = TypeVar("T")

Answer = Callable[[Envelope, int], Settlement]
Pause = Callable[[Envelope, int], Awaitable[None]]


class Stage:
    """Records every operation of a scenario. Each call to the binding has a deadline."""

    def __init__(
        self, contract: Contract, make: Callable[[], Binding], probe: Probe, seed: int, patience: float
    ) -> None:
        self.contract = contract
        self.make = make
        binding = make()
        self.endpoint: Endpoint | None = None
        self.alive = False
        self.binding = binding
        self.probe = probe
        self.claims = claims(binding)
        self.token = f"{random.Random(f'names {seed}').getrandbits(32):08x}"
        self.patience = patience
        self.workload = Workload(contract, seed)
        self.history: list[Event] = []
        self.groups: dict[str, str] = {}
        self.members: list[Binding] = []
        self.unanswered = 0
        self.flooded = ""
        self._changed = asyncio.Event()
        self._began = asyncio.get_running_loop().time()

    def pattern(self, domain: str, env: str = "") -> str:
        """The pattern for all topics of a domain, in the workload's environment or another."""
        topic = self.workload.envelope(domain, env=env).topic
        return ".".join([*topic.split(".")[:4], ">"])

    def dead_letters(self, domain: str) -> str:
        """The topic of a domain's dead letters, in the workload's environment."""
        parts = {"prefix": self.contract.topic.prefix, "env": self.workload.env, "domain": domain}
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

    @property
    def levers(self) -> Levers:
        """The ways to disturb the broker. Raises BrokerError where it has none."""
        if not isinstance(self.probe, Levers):
            raise BrokerError("BROKER expected one that can be disturbed, got none. Fix: use another broker")
        return self.probe

    @property
    def consumers(self) -> Backlog:
        """What the broker knows of its consumers. Raises BrokerError where it does not tell."""
        if not isinstance(self.probe, Backlog):
            raise BrokerError("BROKER expected one that tells a backlog, got none. Fix: use another broker")
        return self.probe

    @property
    def restarts(self) -> Restarts:
        """The way to kill the broker. Raises BrokerError where it is not ours."""
        if not isinstance(self.probe, Restarts):
            raise BrokerError("BROKER expected one that can be killed, got none. Fix: use another broker")
        return self.probe

    @property
    def pauses(self) -> Pauses:
        """The way to let the broker stand still. Raises BrokerError where it is not ours."""
        if not isinstance(self.probe, Pauses):
            raise BrokerError("BROKER expected one that can be paused, got none. Fix: use another broker")
        return self.probe

    async def now(self) -> int:
        """The broker's time, in nanoseconds since the epoch. Raises BrokerError where it does not tell."""
        if not isinstance(self.probe, Clock):
            raise BrokerError("BROKER expected one that tells its time, got none. Fix: use another broker")
        return await self.probe.now()

    def fault(self, what: str, milliseconds: int = 0) -> None:
        """Note in the history what was done to the broker or a consumer, and for how long."""
        self._record("broker", Operation.FAULT, Outcome.OK, NOTHING, error=what, count=milliseconds)

    @property
    def is_cluster(self) -> bool:
        """Whether the broker's leader can be taken away."""
        return isinstance(self.probe, Leads)

    async def change_leader(self) -> None:
        """Take the leader away until others lead. Raises BrokerError where there is no cluster of ours."""
        if not isinstance(self.probe, Leads):
            raise BrokerError("BROKER expected a cluster of ours, got none. Fix: use embedded:nats-cluster")
        self.fault("the leader was killed")
        await self.probe.change_leader()
        self.fault("another one leads, and the killed one is back")

    async def backlog(self) -> int:
        """Ask the broker how much its consumers have not acknowledged, and note it."""
        count = await self.consumers.backlog()
        what = f"{count} messages are not acknowledged"
        self._record("broker", Operation.BACKLOG, Outcome.OK, NOTHING, error=what, count=count)
        return count

    async def held(self) -> None:
        """Note how much the broker says one consumer holds, where it says that."""
        if isinstance(self.probe, Holds):
            count = await self.probe.held()
            self._record("broker", Operation.HELD, Outcome.OK, NOTHING, error=f"{count} held", count=count)

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

    async def answered(self, envelopes: Sequence[Envelope]) -> bool:
        """Wait until all publishes of these have an outcome."""
        wanted = {item.headers.get("message_id", "").lower() for item in envelopes}

        def done() -> bool:
            ends = (item for item in self.history if item.outcome is not Outcome.INVOKE)
            return wanted <= {item.id for item in ends if item.operation is Operation.PUBLISH}

        return await self._until(done)

    async def rests(self) -> None:
        """Wait until nothing happened for ``QUIET_SECONDS``."""
        while True:
            length = len(self.history)
            await self.quiet()
            if len(self.history) == length:
                return

    async def drained(self) -> bool:
        """Wait until every message is acknowledged."""
        return await self._becomes(self.consumers.backlog, lambda count: count == 0)

    async def on_wire(self, envelope: Envelope, copies: int = 1) -> bool:
        """Wait until the broker holds so many copies of a message."""
        return await self._becomes(lambda: self.stored_copies(envelope), lambda count: count >= copies)

    async def stored_copies(self, envelope: Envelope) -> int:
        """How many messages with this one's id the broker holds."""
        identity = envelope.headers.get("message_id", "")
        return sum(item.headers.get("message_id") == identity for item in await self.probe.stored())

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

    async def publish(self, *envelopes: Envelope, actor: str = "producer") -> None:
        """Publish one after another; refusals are recorded, not raised.

        Raises BindingCrashError once ``UNANSWERED`` calls did not return.
        """
        for envelope in envelopes:
            await self.publish_one(envelope, actor)

    async def offer(self, envelopes: Sequence[Envelope], rate: float, actor: str = "producer") -> None:
        """Publish by a plan, so many a second, whatever became of those before: an open loop (D38).

        Raises as ``publish``.
        """
        start = self.elapsed()
        async with asyncio.TaskGroup() as tasks:
            for number, envelope in enumerate(envelopes):
                due = start + int(number / rate * 1e9)
                await asyncio.sleep(max(due - self.elapsed(), 0) / 1e9)
                tasks.create_task(self.publish_one(envelope, actor, due))

    def elapsed(self) -> int:
        """Nanoseconds since the stage was set, as events have it."""
        return int((asyncio.get_running_loop().time() - self._began) * 1e9)

    async def publish_at_last(self, *envelopes: Envelope) -> None:
        """Publish one after another, each again until it is acknowledged, for ``OUTAGE_SECONDS`` in all."""
        deadline = asyncio.get_running_loop().time() + OUTAGE_SECONDS
        for envelope in envelopes:
            while await self.publish_one(envelope, "producer") is not Outcome.OK:
                if asyncio.get_running_loop().time() > deadline:
                    return
                await asyncio.sleep(RETRY_SECONDS)

    async def publish_one(self, envelope: Envelope, actor: str, due: int = UNKNOWN) -> Outcome:
        """Publish one, and give the outcome that was recorded. Raises as ``publish``."""
        self._record(actor, Operation.PUBLISH, Outcome.INVOKE, envelope, due=due)
        error = ""
        outcome = Outcome.OK
        deadline = asyncio.timeout(CALL_SECONDS)
        try:
            async with deadline:
                await self.binding.publish(envelope)
        except InvalidEnvelopeError as refusal:
            outcome, error = Outcome.FAIL, str(refusal)
        except PublishError as refusal:
            outcome = Outcome.FAIL if refusal.definite else Outcome.INFO
            error = str(refusal)
        except BindingCrashError:
            raise
        except Exception as crash:
            outcome, error = Outcome.INFO, f"{type(crash).__name__}: {crash}"
            if deadline.expired():
                error = f"no answer within {CALL_SECONDS} s"
                self.unanswered += 1
        self._record(actor, Operation.PUBLISH, outcome, envelope, error=error)
        if self.unanswered >= UNANSWERED:
            raise BindingCrashError(
                f"BINDING expected publish() to return within {CALL_SECONDS} s, "
                f"it did not, {UNANSWERED} times. "
                "Fix: give publish() a deadline of its own and raise PublishError(definite=False)"
            )
        return outcome

    async def inject(self, *envelopes: Envelope) -> None:
        """Put envelopes on the wire without the binding."""
        for envelope in envelopes:
            await self.probe.inject(envelope)
            self._record("wire", Operation.INJECT, Outcome.OK, envelope)

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

    async def take_replays(self, pattern: str, group: str = "replayer", pause: Pause | None = None) -> None:
        """Let a group take what is replayed under a pattern. Raises BindingCrashError where it cannot."""
        if not isinstance(self.binding, Replays):
            raise BindingCrashError(
                "BINDING expected take_replays(subscription, handler), as claimed. Fix: add the method"
            )
        handle = self._handler(pattern, group, None, pause)
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
            settlement = answer(envelope, attempt) if answer else Settlement.OK
            if settlement is Settlement.OK:
                self._record(group, Operation.EFFECT, Outcome.OK, envelope, attempt, pattern)
            return settlement

        return handle

    async def healed(self, envelopes: Sequence[Envelope], seconds: float = 0) -> bool:
        """As ``applied`` after a fault: as patient as brokers are with what a lost client had in hand.

        What the broker does not hold is not waited for.
        """
        held = {item.headers.get("message_id", "").lower() for item in await self.probe.stored()}
        due = [item for item in envelopes if item.headers.get("message_id", "").lower() in held]
        return await self.applied(due, seconds=max(seconds, HEALING * self.patience))

    async def applied(
        self, envelopes: Sequence[Envelope], group: str = "consumer", seconds: float = 0
    ) -> bool:
        """Wait until all that were not refused took effect in a group.

        Gives up, with False, when nothing happens for ``patience`` seconds, or ``seconds`` if that is more.
        """
        wanted = {item.headers.get("message_id", "").lower() for item in envelopes}
        published = [item for item in self.history if item.operation is Operation.PUBLISH]
        refused = {item.id for item in published if item.outcome is Outcome.FAIL}
        wanted -= refused - {item.id for item in published if item.outcome is Outcome.OK}

        def done() -> bool:
            effects = {
                item.id for item in self.history if item.operation is Operation.EFFECT and item.actor == group
            }
            return wanted <= effects

        return await self._until(done, seconds)

    async def buried(self, count: int, seconds: float = 0) -> bool:
        """Wait until the DLQ holds ``count`` messages: ``patience``, or ``seconds`` if that is more."""
        deadline = asyncio.get_running_loop().time() + max(self.patience, seconds)
        while asyncio.get_running_loop().time() < deadline:
            letters = [
                item for item in await self.probe.stored() if is_dead_letter(item.topic, self.contract)
            ]
            if len(letters) >= count:
                what = f"{count} dead letters are there"
                self._record("wire", Operation.BURIED, Outcome.OK, NOTHING, error=what, count=count)
                return True
            await asyncio.sleep(0.02)
        return False

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

    async def renew_certificates(self) -> None:
        """Replace the certificates of broker and clients. Raises BrokerError where they are not ours."""
        if not isinstance(self.probe, Renews):
            raise BrokerError("BROKER expected certificates of ours, got a given broker. Fix: use embedded")
        await self.probe.renew_certificates()

    async def publish_until_acknowledged(self, domain: str) -> list[Envelope]:
        """Publish one message after another until one is acknowledged, for the recovery time at most (D39)."""
        made: list[Envelope] = []
        clock, seconds = asyncio.get_running_loop(), self.contract.service_levels.recovery_time_seconds
        deadline, pause = clock.time() + seconds, RETRY_SECONDS
        while clock.time() < deadline:
            made.append(self.workload.envelope(domain))
            if await self.publish_one(made[-1], "producer") is Outcome.OK:
                break
            await asyncio.sleep(pause)
            pause *= RETRY_GROWTH
        return made

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

    def show(self, what: str, text: str) -> None:
        """Record a text that anybody may get to see."""
        self._record(
            "binding", Operation.SHOW, Outcome.OK, NOTHING, error=f"{what}: {text[:SHOWN]}", said=text
        )

    async def happens(self, event: asyncio.Event) -> bool:
        """Wait ``patience`` seconds for an event."""
        try:
            async with asyncio.timeout(self.patience):
                await event.wait()
        except TimeoutError:
            return False
        return True

    async def quiet(self) -> None:
        """Give what must not happen ``QUIET_SECONDS`` to happen."""
        await asyncio.sleep(QUIET_SECONDS)

    async def _becomes(self, ask: Callable[[], Awaitable[T]], wanted: Callable[[T], bool]) -> bool:
        deadline = asyncio.get_running_loop().time() + max(self.patience, BROKER_SECONDS)
        while asyncio.get_running_loop().time() < deadline:
            if wanted(await ask()):
                return True
            await asyncio.sleep(0.02)
        return False

    async def _until(self, done: Callable[[], bool], seconds: float = 0) -> bool:
        while not done():
            self._changed.clear()
            try:
                async with asyncio.timeout(max(self.patience, seconds)):
                    await self._changed.wait()
            except TimeoutError:
                return False
        return True

    async def _call(self, name: str, work: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await work
        except BindingCrashError:
            raise
        except TimeoutError as error:
            raise BindingCrashError(
                f"BINDING expected {name}() to return within {CALL_SECONDS} s, it did not. "
                f"Fix: give {name}() a deadline of its own"
            ) from error
        except Exception as error:
            raise BindingCrashError(
                f"BINDING expected {name}() to return, it raised {type(error).__name__}: {error}"
            ) from error

    def _record(
        self,
        actor: str,
        operation: Operation,
        outcome: Outcome,
        envelope: Envelope,
        attempt: int = 1,
        pattern: str = "",
        error: str = "",
        count: int = 0,
        said: str = "",
        due: int = UNKNOWN,
    ) -> None:
        at = self.elapsed()
        event = Event(at, actor, operation, outcome, envelope, attempt, pattern, error, count, said, due=due)
        self.history.append(event)
        self._changed.set()


def changed_claims(before: frozenset[str], after: frozenset[str]) -> str:
    """The sentence about a binding that does not claim the same all the time."""
    return (
        f"BINDING expected the same capabilities all the time, got {', '.join(sorted(before)) or 'none'} and "
        f"then {', '.join(sorted(after)) or 'none'}. Fix: decide what it claims before it starts"
    )


def claims(binding: Binding) -> frozenset[str]:
    """The capabilities that a binding claims beyond publish and subscribe."""
    return frozenset(getattr(binding, "capabilities", ()))
