"""Bindings broken in exactly one way each: the proof that a check can fail.

Each wraps the reference binding over any transport, in a few lines.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace

from ampybus_contract.bindings.consumer import ConsumerGroup
from ampybus_contract.bindings.protocol import Endpoint, Handler, Settlement, Subscription
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.transport import Incoming, Transport
from ampybus_contract.contract import Contract, default_contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.envelope.registry import decode
from ampybus_contract.errors import PublishError
from ampybus_contract.harness.checkers import is_dead_letter

Change = Callable[[Envelope], Envelope | None]
Build = Callable[[Transport, Contract], ReferenceBinding]
BATCH = 4


@dataclass(frozen=True, slots=True)
class Mutant:
    """A broken binding: its name, the check that must fail for it, and how to build it."""

    name: str
    check: str
    build: Build


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

    async def send(self, envelope: Envelope) -> None:
        other = self.change(envelope)
        if other is not None:
            await self.inner.send(other)

    async def consume(self, subscription: Subscription) -> AsyncIterator[Incoming]:
        return await self.inner.consume(subscription)

    async def close(self) -> None:
        await self.inner.close()


class ShufflesBatches(ChangesSends):
    """Hands out each batch in another order."""

    async def consume(self, subscription: Subscription) -> AsyncIterator[Incoming]:
        return self._shuffled(await super().consume(subscription))

    async def _shuffled(self, messages: AsyncIterator[Incoming]) -> AsyncIterator[Incoming]:
        order = random.Random(3)
        queue: asyncio.Queue[Incoming] = asyncio.Queue()

        async def fill() -> None:
            async for item in messages:
                await queue.put(item)

        filling = asyncio.create_task(fill())
        try:
            while True:
                batch = [await queue.get()]
                while len(batch) < BATCH * 4 and not queue.empty():
                    batch.append(queue.get_nowait())
                order.shuffle(batch)
                for item in batch:
                    yield item
                await asyncio.sleep(0.01)
        finally:
            filling.cancel()


class PublishesAnyway(ReferenceBinding):
    """Sends what the contract refuses, where ``lets_through`` says so."""

    lets_through: Callable[[Envelope], bool]

    async def publish(self, envelope: Envelope) -> None:
        if self.lets_through(envelope):
            await self.transport.send(envelope)
        else:
            await super().publish(envelope)


class RefusesWithoutHint(ReferenceBinding):
    """Refuses, and does not say what was meant."""

    async def publish(self, envelope: Envelope) -> None:
        try:
            await super().publish(envelope)
        except PublishError as error:
            raise PublishError("invalid", definite=error.definite) from error


class PrefixSubscriptions(ReferenceBinding):
    """Takes a pattern for a text prefix."""

    async def subscribe(self, subscription: Subscription, handler: Handler) -> None:
        prefix = subscription.pattern.rstrip("*>").rstrip(".")
        wide = ".".join([*subscription.pattern.split(".")[:4], ">"])

        async def narrowed(envelope: Envelope) -> Settlement:
            return await handler(envelope) if envelope.topic.startswith(prefix) else Settlement.OK

        await super().subscribe(replace(subscription, pattern=wide), narrowed)


class RequeuesAtTail(ConsumerGroup):
    """Puts a message that is to be retried behind the others of its key."""

    async def settle(self, incoming: Incoming) -> None:
        if await self.handler(incoming.envelope) is Settlement.RETRY:
            await self.room.acquire()
            self.enqueue(incoming)
        else:
            await self.acknowledge(incoming)


class RetriesPoison(ConsumerGroup):
    """Tries what cannot be decoded again before it gives up."""

    async def bury(self, incoming: Incoming, kind: str, detail: str) -> None:
        if kind == "undecodable":
            await self.handler(incoming.envelope)
        await super().bury(incoming, kind, detail)


class KeepsNothing(ReferenceBinding):
    """Remembers no effect."""

    def identities(self, envelope: Envelope) -> list[str]:
        return []


class FiltersByKey(ReferenceBinding):
    """Takes messages of one key for duplicates."""

    def identities(self, envelope: Envelope) -> list[str]:
        return [envelope.headers.get("partition_key", "")]


class RenamesDeadLetters(ReferenceBinding):
    """Gives a dead letter an id of its own."""

    def dead_letter(self, envelope: Envelope, kind: str, detail: str) -> Envelope:
        letter = super().dead_letter(envelope, kind, detail)
        other = str(uuid.UUID(int=uuid.UUID(letter.headers["message_id"]).int ^ 1))
        return replace(letter, headers=letter.headers.with_(message_id=other))


def mutants(contract: Contract | None = None) -> list[Mutant]:
    """Every mutant, one for each required header among them."""
    contract = contract or default_contract()
    required = [name for name, rule in contract.headers.items() if rule.required]
    found = [Mutant(f"drops {name}", "ENV-01", _delivers(_setting(**{name: None}))) for name in required]
    found += [
        Mutant("makes UUIDv4 ids", "ENV-02", _sends(_version_4)),
        Mutant("reuses an id", "ENV-02", _reusing),
        Mutant("writes an offset", "ENV-03", _delivers(_time(lambda text: text.replace("Z", "+00:00")))),
        Mutant("writes local time", "ENV-03", _delivers(_time(lambda text: text.replace("Z", "")))),
        Mutant("rebuilds headers from the known set", "ENV-05", _delivers(_known_only(contract))),
        Mutant(
            "truncates at 64 KiB",
            "ENV-06",
            _delivers(lambda item: replace(item, payload=item.payload[:65536])),
        ),
        Mutant("serializes anew", "ENV-06", _delivers(_serialized_anew)),
        Mutant("accepts anything with the prefix", "TOP-01", _accepts_prefix),
        Mutant("gives no hint", "TOP-01", RefusesWithoutHint),
        Mutant("publishes to wildcards", "TOP-03", _lets(lambda item: item.topic.endswith((".*", ".>")))),
        Mutant("matches prefixes without token boundary", "TOP-04", PrefixSubscriptions),
        Mutant("swaps the parts of the key", "KEY-01", _sends(_swapped)),
        Mutant(
            "accepts a key that the payload denies", "KEY-01", _lets(lambda item: "not." in str(item.headers))
        ),
        Mutant("shuffles within a batch", "ORD-01", _shuffling),
        Mutant("requeues at the tail", "ORD-03", _grouped(RequeuesAtTail)),
        Mutant("has no filter", "IDM-01", KeepsNothing),
        Mutant("filters by partition_key", "IDM-06", FiltersByKey),
        Mutant("gives dead letters a new message_id", "DLQ-03", RenamesDeadLetters),
        Mutant("drops poison silently", "DLQ-04", _sends_with(_without_dead_letters)),
        Mutant("retries decode errors", "DLQ-05", _grouped(RetriesPoison)),
    ]
    return found


def _delivers(change: Change) -> Build:
    def build(transport: Transport, contract: Contract) -> ReferenceBinding:
        binding = ChangesDeliveries(transport, contract)
        binding.change = change
        return binding

    return build


def _sends(change: Change) -> Build:
    return lambda transport, contract: ReferenceBinding(ChangesSends(transport, change), contract)


def _sends_with(make: Callable[[Contract], Change]) -> Build:
    return lambda transport, contract: ReferenceBinding(ChangesSends(transport, make(contract)), contract)


def _lets(predicate: Callable[[Envelope], bool]) -> Build:
    def build(transport: Transport, contract: Contract) -> ReferenceBinding:
        binding = PublishesAnyway(transport, contract)
        binding.lets_through = predicate
        return binding

    return build


def _grouped(group: type[ConsumerGroup]) -> Build:
    def build(transport: Transport, contract: Contract) -> ReferenceBinding:
        binding = ReferenceBinding(transport, contract)
        binding.group_class = group
        return binding

    return build


def _accepts_prefix(transport: Transport, contract: Contract) -> ReferenceBinding:
    prefix = f"{contract.topic.prefix}."
    return _lets(lambda item: item.topic.startswith(prefix))(transport, contract)


def _shuffling(transport: Transport, contract: Contract) -> ReferenceBinding:
    return ReferenceBinding(ShufflesBatches(transport, lambda item: item), contract)


def _reusing(transport: Transport, contract: Contract) -> ReferenceBinding:
    first: list[str] = []

    def reuse(item: Envelope) -> Envelope:
        first.append(item.headers["message_id"])
        return _setting(message_id=first[0])(item)

    return ReferenceBinding(ChangesSends(transport, reuse), contract)


def _setting(**headers: str | None) -> Callable[[Envelope], Envelope]:
    return lambda item: replace(item, headers=item.headers.with_(**headers))


def _version_4(item: Envelope) -> Envelope:
    text = item.headers["message_id"]
    return _setting(message_id=f"{text[:14]}4{text[15:]}")(item)


def _time(rewrite: Callable[[str], str]) -> Change:
    return lambda item: _setting(produced_at=rewrite(item.headers["produced_at"]))(item)


def _known_only(contract: Contract) -> Change:
    def rebuild(item: Envelope) -> Envelope:
        return _setting(**{name: None for name in item.headers if name not in contract.headers})(item)

    return rebuild


def _serialized_anew(item: Envelope) -> Envelope:
    if "content_encoding" in item.headers:
        return item
    message = decode(item.headers["schema_fqdn"], item.payload)
    return replace(item, payload=message.SerializeToString(deterministic=True))


def _swapped(item: Envelope) -> Envelope:
    first, _, rest = item.headers["partition_key"].partition(".")
    return _setting(partition_key=f"{rest}.{first}" if rest else first)(item)


def _without_dead_letters(contract: Contract) -> Change:
    return lambda item: None if is_dead_letter(item.topic, contract) else item
