"""Bindings that retry by a rule of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ampybus_contract.bindings.consumer import ConsumerGroup
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.transport import Incoming
from ampybus_contract.contract import Contract, RetryRule
from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.mutants.build import Build, Mutant, by, delivers, grouped, setting

FOR_EVER = 1_000_000


class AcknowledgesFirst(ConsumerGroup):
    """Lets the source go before its dead letter is stored."""

    async def bury(self, incoming: Incoming, kind: str, detail: str) -> None:
        await self.acknowledge(incoming)
        await super().bury(replace(incoming, ack=_nothing), kind, detail)


class KeepsAddedHeaders(ReferenceBinding):
    """Redrives a dead letter with what the DLQ added to it."""

    def restored(self, letter: Envelope) -> Envelope:
        return replace(super().restored(letter), headers=letter.headers)


class RedrivesTwice(ReferenceBinding):
    """Publishes each redriven message once more."""

    async def republish(self, incoming: Incoming) -> None:
        await super().republish(incoming)
        await self.transport.send(self.restored(incoming.envelope), "again.")


class LoopsDeadLetters(ReferenceBinding):
    """Treats a dead letter as any other message."""

    def is_dead_letter(self, envelope: Envelope) -> bool:
        return False


class StopsAtPoison(ConsumerGroup):
    """Works on nothing more once it met poison."""

    stopped = False

    async def settle(self, incoming: Incoming) -> None:
        if not self.stopped:
            await super().settle(incoming)

    async def bury(self, incoming: Incoming, kind: str, detail: str) -> None:
        await super().bury(incoming, kind, detail)
        self.stopped = True


class OneLane(ReferenceBinding):
    """Works on one message at a time, whatever its key."""

    def lane(self, envelope: Envelope) -> str:
        return ""


class OneTier(ReferenceBinding):
    """Tries the messages of every domain as the tier of one says."""

    def retry_rule(self, envelope: Envelope) -> RetryRule:
        return next(iter(self.contract.tiers.values()))


def mutants(_contract: Contract) -> list[Mutant]:
    """Every mutant of the chapter."""
    return [
        Mutant("retries for ever", "DLQ-01", _retrying(attempts=FOR_EVER)),
        Mutant("tries once too few", "DLQ-01", by(_one_less)),
        Mutant("knows one tier only", "DLQ-01", OneTier),
        Mutant("waits equally long", "DLQ-02", _retrying(backoff_factor=1)),
        Mutant("waits without bound", "DLQ-02", _retrying(backoff_factor=1_000, backoff_max=FOR_EVER)),
        Mutant("waits without jitter", "DLQ-02", _retrying(jitter=0), virtual=True),
        Mutant("acknowledges before the DLQ has it", "DLQ-06", grouped(AcknowledgesFirst)),
        Mutant("puts its dead letters into the DLQ", "DLQ-07", LoopsDeadLetters),
        Mutant("never sets retry_count", "DLQ-08", delivers(setting(retry_count=None))),
        Mutant("keeps the headers of the DLQ in a redrive", "DLQ-09", KeepsAddedHeaders),
        Mutant("redrives twice", "DLQ-09", RedrivesTwice),
        Mutant("stops at poison", "DLQ-10", grouped(StopsAtPoison)),
        Mutant("blocks all keys with one", "DLQ-10", OneLane),
    ]


async def _nothing() -> None:
    """An acknowledgement that was given before."""


def _retrying(**changes: Any) -> Build:
    def changed(contract: Contract) -> Contract:
        tiers = {name: replace(rule, **changes) for name, rule in contract.tiers.items()}
        return replace(contract, tiers=tiers)

    return by(changed)


def _one_less(contract: Contract) -> Contract:
    tiers = {name: replace(rule, attempts=rule.attempts - 1) for name, rule in contract.tiers.items()}
    return replace(contract, tiers=tiers)
