"""The ways to break the reference binding: what it sends, what it hands out, what it overlooks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, replace

from ampybus_contract.bindings.consumer import ConsumerGroup
from ampybus_contract.bindings.protocol import Endpoint, Handler, Settlement, Subscription
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.transport import Incoming, Reads, Span, Transport
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.stage import Stage
from ampybus_contract.validation import Finding, validate

Change = Callable[[Envelope], Envelope | None]
Build = Callable[[Transport, Contract], ReferenceBinding]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A broken binding: its name, the check that must fail for it, and how to build it.

    ``virtual``: only a virtual clock is exact enough to show it. ``scenario`` takes the place of the check's
    own, where the judge is broken and not the binding.
    """

    name: str
    check: str
    build: Build
    virtual: bool = False
    scenario: Callable[[Stage], Awaitable[None]] | None = None


class ChangesDeliveries(ReferenceBinding):
    """Hands the handler something else than what arrived."""

    change: Change

    async def subscribe(self, subscription: Subscription, handler: Handler) -> None:
        async def changed(envelope: Envelope) -> Settlement:
            other = self.change(envelope)
            return Settlement.OK if other is None else await handler(other)

        await super().subscribe(subscription, changed)


@dataclass
class ChangesSends:
    """A transport that stores something else than what it is given, or nothing."""

    inner: Transport
    change: Change

    async def open(self, endpoint: Endpoint) -> None:
        await self.inner.open(endpoint)

    async def send(self, envelope: Envelope, act: str = "") -> None:
        other = self.change(envelope)
        if other is not None:
            await self.inner.send(other, act)

    async def consume(self, subscription: Subscription) -> AsyncIterator[Incoming]:
        return await self.inner.consume(subscription)

    def read(self, pattern: str, span: Span) -> AsyncIterator[Incoming]:
        assert isinstance(self.inner, Reads)
        return self.inner.read(pattern, span)

    async def close(self) -> None:
        await self.inner.close()


class PublishesAnyway(ReferenceBinding):
    """Finds nothing wrong with what the contract refuses, where ``lets_through`` says so."""

    lets_through: Callable[[Envelope], bool]

    def broken(self, envelope: Envelope) -> list[Finding]:
        return [] if self.lets_through(envelope) else super().broken(envelope)


def delivers(change: Change) -> Build:
    """Changes what the handler gets."""

    def build(transport: Transport, contract: Contract) -> ReferenceBinding:
        binding = ChangesDeliveries(transport, contract)
        binding.change = change
        return binding

    return build


def sends(change: Change) -> Build:
    """Changes what goes on the wire."""
    return lambda transport, contract: ReferenceBinding(ChangesSends(transport, change), contract)


def sends_with(make: Callable[[Contract], Change]) -> Build:
    """As ``sends``, where the change depends on the contract."""
    return lambda transport, contract: ReferenceBinding(ChangesSends(transport, make(contract)), contract)


def lets(predicate: Callable[[Envelope], bool]) -> Build:
    """Publishes without a look where the predicate holds."""

    def build(transport: Transport, contract: Contract) -> ReferenceBinding:
        binding = PublishesAnyway(transport, contract)
        binding.lets_through = predicate
        return binding

    return build


def overlooks(select: Callable[[Contract], Iterable[str]]) -> Build:
    """Publishes what breaks the selected requirements and no others."""

    def build(transport: Transport, contract: Contract) -> ReferenceBinding:
        overlooked = set(select(contract))

        def harmless(envelope: Envelope) -> bool:
            found = validate(envelope, contract)
            return {item.requirement for item in found if item.level == "MUST"} <= overlooked

        return lets(harmless)(transport, contract)

    return build


def grouped(group: type[ConsumerGroup]) -> Build:
    """Consumes by another kind of group."""

    def build(transport: Transport, contract: Contract) -> ReferenceBinding:
        binding = ReferenceBinding(transport, contract)
        binding.group_class = group
        return binding

    return build


def by(misread: Callable[[Contract], Contract]) -> Build:
    """Keeps another contract than the one it is judged by."""
    return lambda transport, contract: ReferenceBinding(transport, misread(contract))


def setting(**headers: str | None) -> Callable[[Envelope], Envelope]:
    """A change of headers; None takes one away."""
    return lambda item: replace(item, headers=item.headers.with_(**headers))
