"""The publishing of a stage: each call has a deadline, and an outcome that is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from ampybus_contract.bindings.protocol import Binding
from ampybus_contract.brokers.protocol import Probe
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.errors import BindingCrashError, PublishError
from ampybus_contract.harness.history import UNKNOWN, Operation, Outcome
from ampybus_contract.harness.wire import Wire
from ampybus_contract.harness.workload import Workload
from ampybus_contract.validation import InvalidEnvelopeError

CALL_SECONDS = 15.0
UNANSWERED = 2
OUTAGE_SECONDS = 30.0
RETRY_SECONDS = 0.1
RETRY_GROWTH = 1.1

T = TypeVar("T")


class Producing(Wire):
    """Publishes a workload by a binding, one after another, again, or by a plan."""

    def __init__(
        self,
        contract: Contract,
        binding: Binding,
        probe: Probe,
        seed: int,
        patience: float,
        recovery: float | None = None,
    ) -> None:
        super().__init__(contract, probe, patience)
        self.binding = binding
        self.workload = Workload(contract, seed)
        self.unanswered = 0
        bound = float(contract.service_levels.recovery_time_seconds)
        self.recovery = bound if recovery is None else min(recovery, bound)
        self.gave_up = False

    async def answered(self, envelopes: Sequence[Envelope]) -> bool:
        """Wait until all publishes of these have an outcome."""
        wanted = {item.headers.get("message_id", "").lower() for item in envelopes}

        def done() -> bool:
            ends = (item for item in self.history if item.outcome is not Outcome.INVOKE)
            return wanted <= {item.id for item in ends if item.operation is Operation.PUBLISH}

        return await self._until(done)

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

    async def publish_at_last(self, *envelopes: Envelope) -> None:
        """Publish one after another, each again until it is acknowledged, for ``OUTAGE_SECONDS`` in all."""
        deadline = asyncio.get_running_loop().time() + OUTAGE_SECONDS
        for envelope in envelopes:
            while await self.publish_one(envelope, "producer") is not Outcome.OK:
                if asyncio.get_running_loop().time() > deadline:
                    return
                await asyncio.sleep(RETRY_SECONDS)

    async def publish_refused(self, *envelopes: Envelope) -> None:
        """Publish again what was refused for good while something was disturbed, as producers do."""
        published = [item for item in self.history if item.operation is Operation.PUBLISH]
        refused = {item.id for item in published if item.outcome is Outcome.FAIL}
        refused -= {item.id for item in published if item.outcome is Outcome.OK}
        again = [item for item in envelopes if item.headers.get("message_id", "").lower() in refused]
        await self.publish_at_last(*again)

    async def publish_until_acknowledged(self, domain: str) -> list[Envelope]:
        """Publish one message after another until one is stored, for ``recovery`` seconds at most (D39)."""
        made: list[Envelope] = []
        clock = asyncio.get_running_loop()
        deadline, pause = clock.time() + self.recovery, RETRY_SECONDS
        while clock.time() < deadline:
            made.append(self.workload.envelope(domain))
            if await self.publish_one(made[-1], "producer") is Outcome.OK:
                return made
            await asyncio.sleep(min(pause, max(deadline - clock.time(), 0)))
            pause *= RETRY_GROWTH
        self.gave_up = True
        return made

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
