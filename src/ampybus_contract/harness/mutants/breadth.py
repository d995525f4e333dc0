"""Bindings that break a rule in some domain, environment or hour only, or for some values."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from ampybus_contract.bindings.effects import EffectStore, MemoryEffects
from ampybus_contract.bindings.protocol import Endpoint, Handler, Settlement, Subscription
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.mutants.build import Build, Mutant, sends, setting

REMEMBERED = 512
KEYS = 2_000
HOUR_SECONDS = 3_600.0
LAST_BASIC = 0xFFFF


class RemembersFew(ReferenceBinding):
    """Remembers the last effects only."""

    def effect_store(self, endpoint: Endpoint) -> EffectStore:
        return MemoryEffects(REMEMBERED)


class RemembersAnHour(ReferenceBinding):
    """Forgets all effects every hour."""

    def effect_store(self, endpoint: Endpoint) -> EffectStore:
        return HourlyEffects(self.contract.effects_remembered)


class HourlyEffects(MemoryEffects):
    """Is empty again when an hour is over."""

    hour = -1

    def seen(self, names: Sequence[str]) -> bool:
        hour = int(asyncio.get_running_loop().time() // HOUR_SECONDS)
        if hour != self.hour:
            self.hour = hour
            self.names.clear()
        return super().seen(names)


class SharesEffects(ReferenceBinding):
    """Takes what one group applied for applied in all."""

    def effect_store(self, endpoint: Endpoint) -> EffectStore:
        return OneForAll(self.contract.effects_remembered)


class OneForAll(MemoryEffects):
    """Knows no groups."""

    def seen(self, names: Sequence[str]) -> bool:
        return super().seen([name.partition("\n")[2] for name in names])

    def apply(self, names: Sequence[str]) -> None:
        super().apply([name.partition("\n")[2] for name in names])


class LooseInProd(ReferenceBinding):
    """Does not look at dedupe keys in production."""

    def identities(self, envelope: Envelope) -> list[str]:
        found = super().identities(envelope)
        return found[:1] if envelope.topic.split(".")[1] == "prod" else found


class ForgetsLanes(ReferenceBinding):
    """Gives each message a lane of its own once it has seen many keys."""

    def lane(self, envelope: Envelope) -> str:
        known: set[str] = self.__dict__.setdefault("known", set())
        known.add(super().lane(envelope))
        return super().lane(envelope) if len(known) < KEYS else envelope.headers.get("message_id", "")


class ChangesHandlers(ReferenceBinding):
    """Asks another handler than the one it was given."""

    change: Callable[[Handler], Handler]

    async def subscribe(self, subscription: Subscription, handler: Handler) -> None:
        await super().subscribe(subscription, self.change(handler))


def handles(change: Callable[[Handler], Handler]) -> Build:
    """Puts something between the broker and the handler."""
    return lambda transport, contract: _with(ChangesHandlers(transport, contract), change)


def _with(binding: ChangesHandlers, change: Callable[[Handler], Handler]) -> ChangesHandlers:
    binding.change = change
    return binding


def _deaf(handler: Handler) -> Handler:
    async def handle(envelope: Envelope) -> Settlement:
        try:
            return await handler(envelope)
        except Exception:
            return Settlement.OK

    return handle


def _insists(handler: Handler) -> Handler:
    async def handle(envelope: Envelope) -> Settlement:
        answer = await handler(envelope)
        return Settlement.RETRY if answer is Settlement.REJECT else answer

    return handle


def _drops_news(handler: Handler) -> Handler:
    async def handle(envelope: Envelope) -> Settlement:
        answer = await handler(envelope)
        return Settlement.OK if envelope.topic.split(".")[2] == "news" else answer

    return handle


def _tires(handler: Handler) -> Handler:
    async def handle(envelope: Envelope) -> Settlement:
        if asyncio.get_running_loop().time() > 10 * HOUR_SECONDS:
            await asyncio.Event().wait()
        return await handler(envelope)

    return handle


def _without_empty(item: Envelope) -> Envelope:
    return setting(**{name: None for name, text in item.headers.items() if not text})(item)


def _to_microseconds(item: Envelope) -> Envelope:
    text = item.headers["produced_at"]
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return setting(produced_at=f"{whole}.{fraction[:6]}Z" if fraction else text)(item)


def _basic_only(item: Envelope) -> Envelope:
    changed = {
        name: "".join(sign if ord(sign) <= LAST_BASIC else "?" for sign in text)
        for name, text in item.headers.items()
    }
    return replace(item, headers=item.headers.with_(**changed))


def mutants(_contract: Contract) -> list[Mutant]:
    """Every mutant of the chapter."""
    return [
        Mutant("drops empty values", "ENV-10", sends(_without_empty)),
        Mutant("rounds times to microseconds", "ENV-10", sends(_to_microseconds)),
        Mutant("loses letters beyond the basic plane", "ENV-10", sends(_basic_only)),
        Mutant("forgets effects", "IDM-09", RemembersFew, virtual=True),
        Mutant("knows no dedupe keys in prod", "IDM-09", LooseInProd),
        Mutant("hides the effects of another group", "IDM-09", SharesEffects),
        Mutant("takes a raising handler for done", "DLQ-13", handles(_deaf)),
        Mutant("retries what was refused", "DLQ-13", handles(_insists)),
        Mutant("drops news", "DLQ-13", handles(_drops_news)),
        Mutant("forgets lanes after 2000 keys", "DAY-01", ForgetsLanes, virtual=True),
        Mutant("stops after ten hours", "DAY-01", handles(_tires), virtual=True),
        Mutant("forgets effects after an hour", "DAY-01", RemembersAnHour, virtual=True),
    ]
