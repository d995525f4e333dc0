"""One consumer group of the reference binding: lanes by key, retries in place, effects once."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Hashable, Sequence
from typing import TYPE_CHECKING, Any

from ampybus_contract.bindings.protocol import Handler, Settlement
from ampybus_contract.bindings.transport import Incoming
from ampybus_contract.envelope import Envelope
from ampybus_contract.errors import BlobError, PublishError

if TYPE_CHECKING:
    from ampybus_contract.bindings.reference import ReferenceBinding

CANCELS = 10
CANCEL_SECONDS = 0.5
LOG = logging.getLogger(__name__)


class ConsumerGroup:
    """Takes messages from a transport and settles each: applied, dead-lettered, or already seen.

    Messages of one lane are settled one after another, so that a retried message blocks its own key and
    no other (D20). ``at_broker``: the broker knows this group, and what it has not settled.
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
        self.room = asyncio.Semaphore(binding.contract.backpressure.in_flight)
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
        if self.workers:
            _done, late = await asyncio.wait(self.workers, timeout=seconds)
            await _cancel(late)

    async def kill(self) -> None:
        """Drop everything in hand, at once."""
        ending = {*self.workers, self.pump} - {None, asyncio.current_task()}
        await _cancel({task for task in ending if task is not None})

    async def _take(self, messages: AsyncIterator[Incoming]) -> None:
        await self.room.acquire()
        async for incoming in messages:
            if incoming.position in self.held:
                self.held[incoming.position] = incoming
                continue
            self.held[incoming.position] = incoming
            self.behind, self.last = incoming.behind, incoming.envelope
            self.binding.observer.lagging(self.name, incoming.envelope, self.behind + len(self.held))
            self.enqueue(incoming)
            await self.room.acquire()

    def enqueue(self, incoming: Incoming) -> None:
        """Put a message at the end of its lane, and start the lane where it is idle."""
        name = self.binding.lane(incoming.envelope)
        if name in self.lanes:
            self.lanes[name].append(incoming)
        else:
            self.lanes[name] = deque([incoming])
            self._spawn(self._work(name))

    async def _work(self, name: str) -> None:
        lane = self.lanes[name]
        while lane:
            incoming = lane.popleft()
            if self.held.get(incoming.position, incoming).begin():
                with self.binding.observer.consuming(self.name, incoming.envelope):
                    await self.settle(incoming)
                left = self.behind + len(self.held)
                self.binding.observer.lagging(self.name, incoming.envelope, left)
            else:
                self.held.pop(incoming.position, None)
            self.room.release()
        del self.lanes[name]

    async def settle(self, incoming: Incoming) -> None:
        """See one message through to its acknowledgement."""
        envelope, binding = incoming.envelope, self.binding
        if not binding.is_dead_letter(envelope):
            poison = binding.poison(envelope)
            if poison is not None:
                await self.bury(incoming, *poison)
                return
        identities = binding.identities(envelope)
        async with binding.alone(self.name, identities):
            await self.apply(incoming, identities)

    async def apply(self, incoming: Incoming, identities: Sequence[str]) -> None:
        """Hand over what this group has not applied, remember that it has, and acknowledge."""
        binding = self.binding
        if not binding.effects.seen(self.name, identities):
            kind = await self._handle(incoming)
            if kind is not None:
                await self.bury(incoming, *kind)
                return
            await binding.effects.remember(self.name, identities)
            binding.observer.applied(self.name, incoming.envelope)
            if binding.doomed:
                await binding.die()
        await self.acknowledge(incoming)

    async def _handle(self, incoming: Incoming) -> tuple[str, str] | None:
        """Try the handler; gives kind and detail of the failure to bury it under, or None.

        A stored payload is fetched first; what cannot be had yet counts as a failed attempt.
        """
        binding, envelope = self.binding, incoming.envelope
        rule = binding.retry_rule(envelope)
        for attempt in range(1, rule.attempts + 1):
            try:
                content = await binding.content(envelope)
                poison = None if content is envelope else binding.poison(content)
                if poison is not None:
                    return poison
                if attempt > 1:
                    headers = content.headers.with_(retry_count=str(attempt - 1))
                    content = type(envelope)(envelope.topic, headers, content.payload)
                with binding.observer.handling(self.name, envelope, attempt):
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
            if attempt < rule.attempts:
                binding.observer.retried(self.name, envelope, "retried")
                await self._pause(binding.backoff(rule, attempt))
        return "exhausted", f"after {rule.attempts} attempts"

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
                        self.held.pop(incoming.position, None)
                        LOG.error("DLQ expected room for %s, got after %d attempts: %s", kind, attempt, error)
                        return
                    await self._pause(self.binding.backoff(rule, attempt))
                    attempt += 1
        await self.acknowledge(incoming)

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
        newest = self.held.pop(incoming.position, incoming)
        await newest.ack()

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
