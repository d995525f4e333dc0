"""Bindings that lose something, or stop, when a consumer, a broker or a link fails."""

from __future__ import annotations

import asyncio
import contextlib

from ampybus_contract.bindings.consumer import ConsumerGroup
from ampybus_contract.bindings.protocol import Endpoint, Handler, Settlement
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.transport import Incoming
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.errors import PublishError
from ampybus_contract.harness.mutants.build import Mutant, grouped
from ampybus_contract.harness.mutants.faults import AcknowledgesFirst

SLOW_SECONDS = 0.1
ROOM = 8


class AcknowledgesUnsent(ReferenceBinding):
    """Says that a message is stored before it is sent, and forgets it where it has no connection."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.sending: set[asyncio.Task[None]] = set()

    async def send(self, envelope: Envelope) -> None:
        if connected(self):
            task = asyncio.create_task(self._later(envelope))
            self.sending.add(task)
            task.add_done_callback(self.sending.discard)

    async def _later(self, envelope: Envelope) -> None:
        with contextlib.suppress(PublishError):
            await super().send(envelope)

    async def stop(self) -> None:
        if self.sending:
            await asyncio.wait(self.sending)
        await super().stop()


class GivesUpOnTimeout(ReferenceBinding):
    """Takes silence for a refusal."""

    async def send(self, envelope: Envelope) -> None:
        try:
            await self.transport.send(envelope)
        except PublishError as error:
            raise PublishError(f"PUBLISH gave up. {error}", definite=True) from error


class DoesNotReconnect(ReferenceBinding):
    """Keeps the one connection that it made."""

    async def start(self, endpoint: Endpoint) -> None:
        await super().start(endpoint)
        client = getattr(self.transport, "client", None)
        if client is not None:
            client.options["allow_reconnect"] = False


class StaysWedged(ReferenceBinding):
    """Publishes nothing any more once a publish had no answer."""

    unanswered = False

    async def send(self, envelope: Envelope) -> None:
        if self.unanswered:
            raise PublishError("PUBLISH expected a connection, got none. Fix: wait", definite=False)
        try:
            await super().send(envelope)
        except PublishError as error:
            self.unanswered = not error.definite
            raise


class DropsOnSlowWrite(ReferenceBinding):
    """Drops a message while another one has been on its way for long, and says that it is stored."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.begun: dict[int, float] = {}

    async def send(self, envelope: Envelope) -> None:
        now = asyncio.get_running_loop().time()
        if any(now - since > SLOW_SECONDS for since in self.begun.values()):
            return
        self.begun[id(envelope)] = now
        try:
            await super().send(envelope)
        finally:
            del self.begun[id(envelope)]


class DropsOldest(ConsumerGroup):
    """Makes room for the newest by letting the oldest of a full lane go."""

    def enqueue(self, incoming: Incoming) -> None:
        super().enqueue(incoming)
        lane = self.lanes[self.binding.lane(incoming.envelope)]
        if len(lane) > ROOM:
            oldest = lane.popleft()
            self._spawn(self.acknowledge(oldest))


class TakesRaiseForSuccess(ConsumerGroup):
    """Goes on as if a handler that raised were done."""

    def __init__(self, binding: ReferenceBinding, name: str, handler: Handler) -> None:
        async def bears(envelope: Envelope) -> Settlement:
            try:
                return await handler(envelope)
            except Exception:
                return Settlement.OK

        super().__init__(binding, name, bears)


class DropsRetries(ConsumerGroup):
    """Does not look whether a handler wants a message again."""

    def __init__(self, binding: ReferenceBinding, name: str, handler: Handler) -> None:
        async def content(envelope: Envelope) -> Settlement:
            found = await handler(envelope)
            return Settlement.OK if found is Settlement.RETRY else found

        super().__init__(binding, name, content)


def connected(binding: ReferenceBinding) -> bool:
    """Whether a binding's client has a connection, as far as it says."""
    return bool(getattr(getattr(binding.transport, "client", None), "is_connected", True))


def mutants(_contract: Contract) -> list[Mutant]:
    """Every mutant of the chapter."""
    return [
        Mutant("commits before the handler", "FLT-01", grouped(AcknowledgesFirst)),
        Mutant("acknowledges before storing", "FLT-02", AcknowledgesUnsent),
        Mutant("gives up on the first timeout", "FLT-03", GivesUpOnTimeout),
        Mutant("does not reconnect", "FLT-04", DoesNotReconnect),
        Mutant("drops on a slow write", "FLT-05", DropsOnSlowWrite),
        Mutant("acknowledges before the handler is done", "FLT-10", grouped(AcknowledgesFirst)),
        Mutant("takes a raise for success", "FLT-10", grouped(TakesRaiseForSuccess)),
        Mutant("drops what is to be retried", "FLT-10", grouped(DropsRetries)),
        Mutant("stays wedged", "FLT-09", StaysWedged),
        Mutant("drops the oldest", "BPR-04", grouped(DropsOldest)),
    ]
