"""Bindings that let wrong topics pass, or read patterns in a way of their own."""

from __future__ import annotations

from dataclasses import replace

from ampybus_contract.bindings.protocol import Handler, Settlement, Subscription
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.transport import Transport
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.errors import PublishError
from ampybus_contract.harness.checkers import is_dead_letter
from ampybus_contract.harness.mutants.build import Change, Mutant, delivers, lets, sends_with

SUBTOPIC = 4


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


class SubscribesEverywhere(ReferenceBinding):
    """Takes the messages of every environment."""

    async def subscribe(self, subscription: Subscription, handler: Handler) -> None:
        prefix, _env, *rest = subscription.pattern.split(".")
        wide = ".".join([prefix, "*", *rest])
        await super().subscribe(replace(subscription, pattern=wide), handler)


def mutants(_contract: Contract) -> list[Mutant]:
    """Every mutant of the chapter."""
    return [
        Mutant("accepts anything with the prefix", "TOP-01", _accepts_prefix),
        Mutant("gives no hint", "TOP-01", RefusesWithoutHint),
        Mutant("has one DLQ for all environments", "TOP-02", sends_with(_into_last_environment)),
        Mutant("subscribes to every environment", "TOP-02", SubscribesEverywhere),
        Mutant("publishes to wildcards", "TOP-03", lets(lambda item: item.topic.endswith((".*", ".>")))),
        Mutant("matches prefixes without token boundary", "TOP-04", PrefixSubscriptions),
        Mutant("splits on every dot", "TOP-05", delivers(_two_tokens)),
        Mutant("replaces the at sign", "TOP-05", delivers(_without_at)),
    ]


def _accepts_prefix(transport: Transport, contract: Contract) -> ReferenceBinding:
    prefix = f"{contract.topic.prefix}."
    return lets(lambda item: item.topic.startswith(prefix))(transport, contract)


def _into_last_environment(contract: Contract) -> Change:
    """A binding whose DLQ is the production one, wherever the message came from."""
    last = contract.topic.environments[-1]

    def moved(item: Envelope) -> Envelope:
        if not is_dead_letter(item.topic, contract):
            return item
        prefix, _env, *rest = item.topic.split(".")
        return replace(item, topic=".".join([prefix, last, *rest]))

    return moved


def _two_tokens(item: Envelope) -> Envelope:
    tokens = item.topic.split(".")
    return replace(item, topic=".".join(tokens[: SUBTOPIC + 2]))


def _without_at(item: Envelope) -> Envelope:
    return replace(item, topic=item.topic.replace("@", "_"))
