"""Bindings that replay something else, in another order, or at the cost of live traffic."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

from ampybus_contract.bindings.checkpoints import CheckpointGroup
from ampybus_contract.bindings.consumer import ConsumerGroup
from ampybus_contract.bindings.protocol import Endpoint, Handler, Settlement, Subscription
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.replay import Replayer, Request
from ampybus_contract.bindings.transport import Incoming
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.mutants.build import Build, Mutant, by

STEP_SECONDS = 0.002
POLL_SECONDS = 0.01


class IgnoresKey(Replayer):
    """Replays the whole topic, whatever the key."""

    def covers(self, request: Request, envelope: Envelope) -> bool:
        return super().covers(replace(request, key=None), envelope)


class ForgetsProducedAt(Replayer):
    """Replays all that the broker stored in the window."""

    def covers(self, request: Request, envelope: Envelope) -> bool:
        return super().covers(replace(request, start=None, end=None), envelope)


class BypassesFilter(Replayer):
    """Hands records to the sink without a look at what it applied."""

    async def answer(self, envelope: Envelope) -> Settlement:
        async for incoming in self.records(Request.read(envelope, self.contract)):
            await self.group.handler(incoming.envelope)
        return Settlement.OK


class WithholdsApplied(Replayer):
    """Takes what any group applied for applied by all."""

    def __init__(self, binding: ReferenceBinding, subscription: Subscription, handler: Handler) -> None:
        super().__init__(binding, subscription, handler)
        self.group.name = "consumer"


class Republishes(Replayer):
    """Puts replayed records into the live stream."""

    async def answer(self, envelope: Envelope) -> Settlement:
        async for incoming in self.records(Request.read(envelope, self.contract)):
            await self.binding.transport.send(incoming.envelope, f"replay.{incoming.position}.")
            await self.group.settle(incoming)
        return Settlement.OK


class IgnoresRequests(Replayer):
    """Replays nothing."""

    async def answer(self, envelope: Envelope) -> Settlement:
        return Settlement.OK


class CrossesEnvironments(Replayer):
    """Replays the records of all environments."""

    async def records(self, request: Request) -> AsyncGenerator[Incoming, None]:
        prefix, _env, rest = request.pattern.split(".", 2)
        async for incoming in super().records(replace(request, pattern=f"{prefix}.*.{rest}")):
            yield incoming


class OrdersByArrival(Replayer):
    """Reads records side by side and takes them as they come."""

    async def records(self, request: Request) -> AsyncGenerator[Incoming, None]:
        found = [incoming async for incoming in super().records(request)]

        async def arrive(incoming: Incoming) -> Incoming:
            await asyncio.sleep(self.binding.random.random() * STEP_SECONDS * len(found))
            return incoming

        for arrived in asyncio.as_completed([arrive(incoming) for incoming in found]):
            yield await arrived


class PausesLive(ReferenceBinding):
    """Delivers nothing live while a replay runs."""

    replaying = 0

    async def take_replays(self, subscription: Subscription, handler: Handler) -> None:
        async def counted(envelope: Envelope) -> Settlement:
            self.replaying += 1
            try:
                return await handler(envelope)
            finally:
                self.replaying -= 1

        await super().take_replays(subscription, counted)


class WaitsForReplay(ConsumerGroup):
    """Settles a live message once no replay runs."""

    async def settle(self, incoming: Incoming) -> None:
        live = self.binding.contract.replay.header not in incoming.envelope.headers
        while live and isinstance(self.binding, PausesLive) and self.binding.replaying:
            await asyncio.sleep(POLL_SECONDS)
        await super().settle(incoming)


class ForgetsCheckpoints(ReferenceBinding):
    """Remembers how far it got, and what it applied, as long as the process lives."""

    async def start(self, endpoint: Endpoint) -> None:
        await super().start(replace(endpoint, state=None))


class ChecksPointFirst(CheckpointGroup):
    """Stores the checkpoint before the effect."""

    async def settle(self, incoming: Incoming) -> None:
        await incoming.ack()
        await super().settle(incoming)


def mutants(_contract: Contract) -> list[Mutant]:
    """Every mutant of the chapter."""
    return [
        Mutant("includes the end of a window", "RPL-01", by(_window(end="included"))),
        Mutant("excludes the start of a window", "RPL-01", by(_window(start="excluded"))),
        Mutant("replays the whole topic for a key", "RPL-02", _replaying(IgnoresKey)),
        Mutant("replays past the filter", "RPL-03", _replaying(BypassesFilter)),
        Mutant("withholds what another sink applied", "RPL-03", _replaying(WithholdsApplied)),
        Mutant("pauses live traffic for a replay", "RPL-04", _pausing),
        Mutant("interleaves a replay into the live stream", "RPL-04", _replaying(Republishes)),
        Mutant("stores the checkpoint before the effect", "RPL-05", _pointing_first),
        Mutant("forgets its checkpoint with the process", "RPL-05", ForgetsCheckpoints),
        Mutant("ignores replay requests", "RPL-06", _replaying(IgnoresRequests)),
        Mutant("replays across environments", "RPL-06", _replaying(CrossesEnvironments)),
        Mutant("looks up by broker time without slack", "RPL-07", by(_without_slack)),
        Mutant("filters by broker time", "RPL-07", _replaying(ForgetsProducedAt)),
        Mutant("replays in order of arrival", "RPL-08", _replaying(OrdersByArrival)),
    ]


def _pointing_first(transport: Any, contract: Contract) -> ReferenceBinding:
    binding = ReferenceBinding(transport, contract)
    binding.checkpoint_group_class = ChecksPointFirst
    return binding


def _replaying(kind: type[Replayer]) -> Build:
    def build(transport: Any, contract: Contract) -> ReferenceBinding:
        binding = ReferenceBinding(transport, contract)
        binding.replayer_class = kind
        return binding

    return build


def _pausing(transport: Any, contract: Contract) -> ReferenceBinding:
    binding = PausesLive(transport, contract)
    binding.group_class = WaitsForReplay
    return binding


def _window(**changes: str) -> Any:
    def changed(contract: Contract) -> Contract:
        rule = replace(contract.replay, window={**contract.replay.window, **changes})
        return replace(contract, replay=rule)

    return changed


def _without_slack(contract: Contract) -> Contract:
    return replace(contract, replay=replace(contract.replay, lookup_slack_seconds=0))
