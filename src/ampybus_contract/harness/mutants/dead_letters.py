"""Bindings that mishandle what cannot be processed."""

from __future__ import annotations

import uuid
from dataclasses import replace

from ampybus_contract.bindings.consumer import ConsumerGroup
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.transport import Incoming
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.checkers import is_dead_letter
from ampybus_contract.harness.mutants.build import Change, Mutant, grouped, sends_with


class RenamesDeadLetters(ReferenceBinding):
    """Gives a dead letter an id of its own."""

    def dead_letter(self, envelope: Envelope, kind: str, detail: str) -> Envelope:
        letter = super().dead_letter(envelope, kind, detail)
        other = str(uuid.UUID(int=uuid.UUID(letter.headers["message_id"]).int ^ 1))
        return replace(letter, headers=letter.headers.with_(message_id=other))


class RetriesPoison(ConsumerGroup):
    """Tries what cannot be decoded again before it gives up."""

    async def bury(self, incoming: Incoming, kind: str, detail: str) -> None:
        if kind == "undecodable":
            await self.handler(incoming.envelope)
        await super().bury(incoming, kind, detail)


def mutants(_contract: Contract) -> list[Mutant]:
    """Every mutant of the chapter."""
    return [
        Mutant("gives dead letters a new message_id", "DLQ-03", RenamesDeadLetters),
        Mutant("has no DLQ", "DLQ-03", sends_with(_without_dead_letters)),
        Mutant("cuts the bytes of a dead letter", "DLQ-03", sends_with(_cut_dead_letters)),
        Mutant("drops poison silently", "DLQ-04", sends_with(_without_dead_letters)),
        Mutant("retries decode errors", "DLQ-05", grouped(RetriesPoison)),
    ]


def _without_dead_letters(contract: Contract) -> Change:
    return lambda item: None if is_dead_letter(item.topic, contract) else item


def _cut_dead_letters(contract: Contract) -> Change:
    def cut(item: Envelope) -> Envelope:
        return replace(item, payload=item.payload[:1]) if is_dead_letter(item.topic, contract) else item

    return cut
