"""One consumer group of the reference binding: lanes by key, retries in place, effects once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ampybus_contract.bindings.effects import effect_names
from ampybus_contract.bindings.protocol import Handler, Settlement
from ampybus_contract.bindings.room import Room
from ampybus_contract.bindings.transport import Incoming
from ampybus_contract.envelope import Envelope
from ampybus_contract.errors import AmpyBusError, BlobError, CheckpointError, EffectError, PublishError

if TYPE_CHECKING:
    from ampybus_contract.bindings.reference import ReferenceBinding

CANCELS = 10
CANCEL_SECONDS = 0.5
TROUBLE_PAUSE_SECONDS = 0.5
LOG = logging.getLogger(__name__)


class ConsumerGroup:
    """Takes messages from a transport and settles each: applied, dead-lettered, or already seen.

    Messages of one lane are handled one after another, so that a retried message blocks its own key and
    no other (D20). What took effect is ``applied``; one writer makes all of it last in one step, and
    acknowledges it only then: after a crash in between it comes again (D23). ``at_broker``: the broker knows
    this group, and what it has not settled.
    """

    at_broker = True

    def __init__(self, binding: ReferenceBinding, name: str, handler: Handler) -> None:
        self.name = name
        self.binding = binding
        self.handler = handler
        self.lanes: dict[str, deque[Incoming]] = {}
        self.held: dict[Hashable, Incoming] = {}
        self.behind = 0
        self.last: Envelope | None = None
        self.room = Room(binding.contract.backpressure.in_flight)
        self.ready: deque[str] = deque()
        self.called = False
        self.shift = 0
        self.applied: list[Incoming] = []
        self.fresh: list[Incoming] = []
        self.writer: asyncio.Task[None] | None = None
        self.troubled = False
        self.pump: asyncio.Task[None] | None = None
        self.workers: set[asyncio.Task[None]] = set()
        self.stopping = asyncio.Event()

    async def start(self, messages: AsyncIterator[Incoming]) -> None:
        """Begin to take messages."""
        self.pump = asyncio.create_task(self._take(messages))

    async def stop(self, seconds: float) -> None:
        """Take no more, and give what is in hand ``seconds`` to end."""
        self.stopping.set()
        if self.pump is not None:
            await _cancel({self.pump})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.workers or self.ready:
                    await (asyncio.wait(self.workers) if self.workers else asyncio.sleep(0))
                await self.drained()
        await self.kill()

    async def kill(self) -> None:
        """Drop everything in hand, at once."""
        self.ready.clear()
        ending = {*self.workers, self.pump, self.writer} - {None, asyncio.current_task()}
        await _cancel({task for task in ending if task is not None})

    async def drained(self) -> None:
        """Return once all that took effect is remembered and acknowledged."""
        while self.writer is not None:
            await asyncio.wait({self.writer})

    async def _take(self, messages: AsyncIterator[Incoming]) -> None:
        held, room, blind = self.held, self.room, self.binding.observer.blind
        async for incoming in messages:
            first = held.setdefault(incoming.position, incoming)
            if first is not incoming:
                first.renew(incoming)
                continue
            self.behind, self.last = incoming.behind, incoming.envelope
            if not blind:
                self._tell_lag(incoming.envelope)
            room.take()
            self.enqueue(incoming)
            if room.free <= 0:
                await room.wait()

    def enqueue(self, incoming: Incoming) -> None:
        """Put a message at the end of its lane, and see that the lane is worked on."""
        name = self.binding.lane(incoming.envelope)
        lane = self.lanes.get(name)
        if lane is not None:
            lane.append(incoming)
            return
        self.lanes[name] = deque((incoming,))
        self.ready.append(name)
        if not self.called:
            self.called = True
            self._spawn(self._work_on())

    async def _work_on(self) -> None:
        """Work on one lane after another, as long as none has to wait for anything.

        A lane that waits keeps its worker, and another one takes the lanes that are left: a task for each
        lane that waits, and none for those that do not.
        """
        asyncio.get_running_loop().call_soon(self._relieve)
        shift, blind = self.shift, self.binding.observer.blind
        while self.ready and self.shift == shift:
            name = self.ready.popleft()
            lane = self.lanes[name]
            while lane:
                incoming = lane.popleft()
                if not incoming.begin():
                    self._let_go(incoming)
                elif blind:
                    await self.settle(incoming)
                else:
                    with self.binding.observer.consuming(self.name, incoming.envelope):
                        await self.settle(incoming)
            del self.lanes[name]

    def _relieve(self) -> None:
        """Call the next worker where the one before rests, as it did not get to all lanes in its turn."""
        self.shift += 1
        self.called = bool(self.ready)
        if self.called:
            self._spawn(self._work_on())

    async def settle(self, incoming: Incoming) -> None:
        """See one message through to its effect or to the DLQ; the effect is remembered soon after.

        What this group has applied before is not handed over again.
        """
        envelope, binding = incoming.envelope, self.binding
        if not binding.clean(envelope) and not binding.is_dead_letter(envelope):
            poison = binding.poison(envelope)
            if poison is not None:
                await self.bury(incoming, *poison)
                return
        names = effect_names(self.name, binding.identities(envelope))
        turn = names[0] if names else self.name
        turns, effects = binding.turns, binding.effects
        if not turns.take(turn):
            await turns.wait(turn)
        try:
            try:
                known = effects.seen(names)
            except EffectError as error:
                known = await self._seen_at_last(names, error)
            if not known:
                answer = None
                if binding.pointers is None and binding.observer.blind:
                    try:
                        answer = await self.handler(envelope) or Settlement.RETRY
                    except Exception:
                        answer = Settlement.RETRY
                failure = None if answer is Settlement.OK else await self._handle(incoming, answer)
                if failure is not None:
                    await self.bury(incoming, *failure)
                    return
                effects.apply(names)
                self.fresh.append(incoming)
        finally:
            turns.give(turn)
        self._settled(incoming)

    def _settled(self, incoming: Incoming) -> None:
        """Leave a message to the writer, which acknowledges in the order of these calls."""
        self.applied.append(incoming)
        if self.writer is None:
            self.writer = asyncio.create_task(self._remember_all())

    async def _remember_all(self) -> None:
        """Keep the effects of all that was applied meanwhile in one step, and acknowledge it, until idle."""
        binding, observer = self.binding, self.binding.observer
        try:
            while self.applied:
                done, self.applied = self.applied, []
                fresh, self.fresh = self.fresh, []
                await self._keep()
                for incoming in () if observer.blind else fresh:
                    observer.applied(self.name, incoming.envelope)
                if fresh and binding.doomed:
                    await binding.die()
                await self._acknowledge_all(done)
        finally:
            self.writer = None

    async def _keep(self) -> None:
        """Make effects last. While that fails, nothing is acknowledged, and so nothing is lost."""
        while True:
            try:
                self.binding.effects.keep()
            except EffectError as error:
                await self._bear(error)
            else:
                self.troubled = False
                return

    async def _seen_at_last(self, names: Sequence[str], error: EffectError) -> bool:
        while True:
            await self._bear(error)
            try:
                return self.binding.effects.seen(names)
            except EffectError as again:
                error = again

    async def _acknowledged_at_last(self, incoming: Incoming, error: CheckpointError) -> None:
        while True:
            await self._bear(error)
            try:
                return await incoming.ack()
            except CheckpointError as again:
                error = again

    async def _bear(self, error: AmpyBusError) -> None:
        """Say once that effects or checkpoints cannot be written, and wait before another try."""
        if not self.troubled:
            LOG.error("%s", error)
        self.troubled = True
        await self._pause(TROUBLE_PAUSE_SECONDS)

    async def _handle(self, incoming: Incoming, answer: Settlement | None = None) -> tuple[str, str] | None:
        """Try the handler; gives kind and detail of the failure to bury it under, or None.

        ``answer`` is that of the first attempt, where the handler was asked already. A stored payload is
        fetched first; what cannot be had yet counts as a failed attempt.
        """
        binding, envelope = self.binding, incoming.envelope
        observer, attempt = binding.observer, 1
        while True:
            try:
                if answer is None:
                    content = await binding.content(envelope)
                    poison = None if content is envelope else binding.poison_fetched(content)
                    if poison is not None:
                        return poison
                    if attempt > 1:
                        headers = content.headers.with_(retry_count=str(attempt - 1))
                        content = type(envelope)(envelope.topic, headers, content.payload)
                    with observer.handling(self.name, envelope, attempt):
                        answer = await self.handler(content)
            except BlobError as error:
                if not error.passing:
                    return "blob", str(error)
                answer = Settlement.RETRY
            except Exception:
                answer = Settlement.RETRY
            if answer is Settlement.OK:
                return None
            if answer is Settlement.REJECT:
                return "rejected", f"at attempt {attempt}"
            rule = binding.retry_rule(envelope)
            if attempt >= rule.attempts:
                return "exhausted", f"after {rule.attempts} attempts"
            observer.retried(self.name, envelope, "retried")
            await self._pause(binding.backoff(rule, attempt))
            attempt, answer = attempt + 1, None

    async def bury(self, incoming: Incoming, kind: str, detail: str) -> None:
        """Publish to the DLQ, and acknowledge the source only then (D25).

        A letter of an environment that the contract does not have may never find a topic: after the attempts
        of its tier it is given up with an error in the log. Its source stays unacknowledged: nothing is lost.
        """
        if not self.binding.is_dead_letter(incoming.envelope):
            dead = self.binding.dead_letter(incoming.envelope, kind, detail)
            attempt = 1
            while True:
                try:
                    with self.binding.observer.routing(dead, dead.topic):
                        await self.binding.transport.send(dead, f"dlq.{incoming.position}.")
                    self.binding.observer.buried(self.name, incoming.envelope, kind)
                    break
                except PublishError as error:
                    rule = self.binding.retry_rule(dead)
                    homeless = dead.topic.split(".")[1] not in self.binding.contract.topic.environments
                    if homeless and error.definite and attempt >= rule.attempts:
                        self._let_go(incoming)
                        LOG.error("DLQ expected room for %s, got after %d attempts: %s", kind, attempt, error)
                        return
                    await self._pause(self.binding.backoff(rule, attempt))
                    attempt += 1
        self._settled(incoming)

    async def _pause(self, seconds: float) -> None:
        """Wait before another try. A stop ends the work here: the broker hands the message out again."""
        try:
            async with asyncio.timeout(seconds):
                await self.stopping.wait()
        except TimeoutError:
            return
        raise asyncio.CancelledError

    async def acknowledge(self, incoming: Incoming) -> None:
        """Acknowledge by the newest handle, as the broker may have sent the message again meanwhile."""
        self._let_go(incoming)
        await incoming.ack()

    async def _acknowledge_all(self, done: Iterable[Incoming]) -> None:
        """As ``acknowledge``, one after another, and there is room for others when all are."""
        held, freed = self.held, 0
        try:
            for incoming in done:
                if held.pop(incoming.position, None) is not None:
                    freed += 1
                try:
                    await incoming.ack()
                except CheckpointError as error:
                    await self._acknowledged_at_last(incoming, error)
        finally:
            self.room.release(freed)
            for incoming in () if self.binding.observer.blind else done:
                self._tell_lag(incoming.envelope)

    def _let_go(self, incoming: Incoming) -> None:
        """Have a message in hand no more."""
        if self.held.pop(incoming.position, None) is not None:
            self.room.release()
            self._tell_lag(incoming.envelope)

    def _tell_lag(self, envelope: Envelope) -> None:
        if not self.binding.observer.blind:
            self.binding.observer.lagging(self.name, envelope, self.behind + len(self.held))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.workers.add(task)
        task.add_done_callback(self.workers.discard)


async def _cancel(tasks: set[asyncio.Task[None]]) -> None:
    """Cancel until all have ended, with a bound: ``wait_for`` of Python 3.11 loses a cancellation that comes
    at the same moment as its result, and a task that waits on would never end.
    """
    left = set(tasks)
    for _ in range(CANCELS):
        if not left:
            break
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=CANCEL_SECONDS)
    await asyncio.gather(*(tasks - left), return_exceptions=True)
