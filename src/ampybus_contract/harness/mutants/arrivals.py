"""Bindings that mishandle something of what arrives broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ampybus_contract.bindings.consumer import ConsumerGroup
from ampybus_contract.bindings.protocol import Handler, Subscription
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.transport import Incoming
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope, Headers
from ampybus_contract.envelope.digest import sha256_of
from ampybus_contract.harness.mutants.build import Build, Mutant, grouped
from ampybus_contract.validation import Finding

Reason = tuple[str, str] | None


class MendsNames(ConsumerGroup):
    """Drops headers whose names break the contract, and hands over the rest."""

    async def settle(self, incoming: Incoming) -> None:
        envelope, rule = incoming.envelope, self.binding.contract.header_name
        kept = {name: value for name, value in envelope.headers.items() if rule.fullmatch(name)}
        mended = replace(envelope, headers=Headers(kept))
        await super().settle(replace(incoming, envelope=mended))


class BuriesTwice(ConsumerGroup):
    """Puts news into the DLQ once more."""

    async def bury(self, incoming: Incoming, kind: str, detail: str) -> None:
        await super().bury(incoming, kind, detail)
        if _domain(incoming.envelope) == "news":
            letter = self.binding.dead_letter(incoming.envelope, kind, detail)
            await self.binding.transport.send(letter, "again.")


class DropsNameless(ConsumerGroup):
    """Drops poison that has no message_id."""

    async def bury(self, incoming: Incoming, kind: str, detail: str) -> None:
        if "message_id" in incoming.envelope.headers:
            await super().bury(incoming, kind, detail)
        else:
            await self.acknowledge(incoming)


class KeepsUndecodable(ConsumerGroup):
    """Never acknowledges the source of what cannot be decoded."""

    async def bury(self, incoming: Incoming, kind: str, detail: str) -> None:
        kept = replace(incoming, ack=_nothing) if kind == "undecodable" else incoming
        await super().bury(kept, kind, detail)


class ForgetsTheKey(ConsumerGroup):
    """Handles nothing more of a key once something of it broke the contract."""

    def __init__(self, binding: ReferenceBinding, name: str, handler: Handler) -> None:
        super().__init__(binding, name, handler)
        self.forgotten: set[str] = set()

    async def settle(self, incoming: Incoming) -> None:
        if self.binding.lane(incoming.envelope) in self.forgotten:
            await self.acknowledge(incoming)
        else:
            await super().settle(incoming)

    async def bury(self, incoming: Incoming, kind: str, detail: str) -> None:
        if kind == "violation":
            self.forgotten.add(self.binding.lane(incoming.envelope))
        await super().bury(incoming, kind, detail)


class DropsDeadLetters(ConsumerGroup):
    """Hands no dead letter to a handler."""

    async def settle(self, incoming: Incoming) -> None:
        if self.binding.is_dead_letter(incoming.envelope):
            await self.acknowledge(incoming)
        else:
            await super().settle(incoming)


class BuriesDeadLetters(ConsumerGroup):
    """Puts a dead letter that its handler rejects into the DLQ as it is, once."""

    async def bury(self, incoming: Incoming, kind: str, detail: str) -> None:
        if self.binding.is_dead_letter(incoming.envelope):
            letter = replace(incoming.envelope, topic=f"{incoming.envelope.topic}_dlq")
            if not incoming.envelope.topic.endswith("_dlq"):
                await self.binding.transport.send(letter, "again.")
        await super().bury(incoming, kind, detail)


class LooksAtNothingWide(ReferenceBinding):
    """Looks at no message once somebody consumes everything."""

    wide = False

    async def subscribe(self, subscription: Subscription, handler: Handler) -> None:
        self.wide = self.wide or subscription.pattern == f"{self.contract.topic.prefix}.>"
        await super().subscribe(subscription, handler)

    def poison(self, envelope: Envelope) -> Reason:
        overlooked = self.wide and _domain(envelope) in self.contract.domains
        return None if overlooked else super().poison(envelope)


class WrongReason(ReferenceBinding):
    """Takes a type that the domain does not carry for any other violation."""

    def poison(self, envelope: Envelope) -> Reason:
        found = super().poison(envelope)
        unknown = self.contract.payload.requirements["type"]
        return ("violation", found[1]) if found and found[1].startswith(unknown) else found


def mutants(contract: Contract) -> list[Mutant]:
    """Every mutant of what arrives broken."""
    last, trace = contract.topic.environments[-1], contract.headers["trace_id"].format
    one, other = "fills", "orders"
    return [
        Mutant("hands over any trace", "DLQ-11", _blind_to(lambda _item, found: found.requirement == trace)),
        Mutant("hands over what has a bad header name, without it", "DLQ-11", grouped(MendsNames)),
        Mutant("looks at no universe", "DLQ-11", _blind_to(lambda item, _found: _domain(item) == "universe")),
        Mutant("looks at nothing in the last environment", "DLQ-11", _blind_to(_env_is(last))),
        Mutant("takes unknown types for violations", "DLQ-11", WrongReason),
        Mutant("files fills under orders", "DLQ-11", _letters(_refiled(one, other))),
        Mutant("drops unknown headers from dead letters", "DLQ-11", _letters(_without_unknown)),
        Mutant("buries news twice", "DLQ-11", grouped(BuriesTwice)),
        Mutant("drops what has no message_id", "DLQ-11", grouped(DropsNameless)),
        Mutant("hashes dead letters as sent", "DLQ-11", _letters(_hashed_as_sent)),
        Mutant("names the family as origin", "DLQ-11", _letters(_family_as_origin)),
        Mutant("acknowledges nothing undecodable", "DLQ-11", grouped(KeepsUndecodable)),
        Mutant("forgets a key after a violation", "DLQ-11", grouped(ForgetsTheKey)),
        Mutant("looks at nothing for a consumer of everything", "DLQ-12", LooksAtNothingWide),
        Mutant("buries dead letters that are rejected", "DLQ-12", grouped(BuriesDeadLetters)),
        Mutant("has one DLQ for all domains", "DLQ-12", _letters(_refiled("", other))),
        Mutant("hands out no dead letters", "DLQ-12", grouped(DropsDeadLetters)),
    ]


def _domain(envelope: Envelope) -> str:
    return "".join(envelope.topic.split(".")[2:3])


def _env_is(env: str) -> Callable[[Envelope, Finding], bool]:
    return lambda item, _found: item.topic.split(".")[1:2] == [env]


def _blind_to(harmless: Callable[[Envelope, Finding], bool]) -> Build:
    """Sees nothing wrong in what arrives where the predicate holds for all that is."""

    class Blind(ReferenceBinding):
        def violations(self, envelope: Envelope) -> list[Finding]:
            return [item for item in super().violations(envelope) if not harmless(envelope, item)]

        def broken(self, envelope: Envelope) -> list[Finding]:
            return super().violations(envelope)

    return Blind


def _letters(change: Callable[[Envelope, Envelope, Contract], Envelope]) -> Build:
    """Changes dead letters: from the message, its letter, and the contract."""

    class Changes(ReferenceBinding):
        def dead_letter(self, envelope: Envelope, kind: str, detail: str) -> Envelope:
            return change(envelope, super().dead_letter(envelope, kind, detail), self.contract)

    return Changes


def _refiled(domain: str, other: str) -> Callable[[Envelope, Envelope, Contract], Envelope]:
    def refile(envelope: Envelope, letter: Envelope, _contract: Contract) -> Envelope:
        if domain not in ("", _domain(envelope)):
            return letter
        return replace(letter, topic=f"{letter.topic.rpartition('.')[0]}.{other}")

    return refile


def _without_unknown(_envelope: Envelope, letter: Envelope, contract: Contract) -> Envelope:
    kept = {name: value for name, value in letter.headers.items() if name in contract.headers}
    return replace(letter, headers=Headers(kept))


def _hashed_as_sent(envelope: Envelope, letter: Envelope, contract: Contract) -> Envelope:
    name = contract.dead_letter.headers["payload_hash"]
    return replace(letter, headers=letter.headers.with_(**{name: sha256_of(envelope.payload)}))


def _family_as_origin(envelope: Envelope, letter: Envelope, contract: Contract) -> Envelope:
    family = ".".join(envelope.topic.split(".")[:4])
    name = contract.dead_letter.headers["origin"]
    return replace(letter, headers=letter.headers.with_(**{name: family}))


async def _nothing() -> None:
    """No acknowledgement."""
