"""Bindings that read what is stored again, but not all of it, or not as it is."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from ampybus_contract.bindings.protocol import Handler, Settlement, Subscription
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.replay import Replayer, Request
from ampybus_contract.bindings.transport import Incoming
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.mutants.audit import KeepsOtherwise
from ampybus_contract.harness.mutants.build import Mutant, setting

MOST = 100


class DeafToSinks(ReferenceBinding):
    """Takes a sink that raises for one that is done."""

    async def take_replays(self, subscription: Subscription, handler: Handler) -> None:
        async def handle(envelope: Envelope) -> Settlement:
            try:
                return await handler(envelope)
            except Exception:
                return Settlement.OK

        await super().take_replays(subscription, handle)


class ShortReplayer(Replayer):
    """Gives a hundred records and no more."""

    async def records(self, request: Request) -> AsyncGenerator[Incoming, None]:
        given = 0
        async for incoming in super().records(request):
            given += 1
            if given > MOST:
                return
            yield incoming


class PlainReplayer(Replayer):
    """Passes over requests that are compressed."""

    async def answer(self, envelope: Envelope) -> Settlement:
        packed = "content_encoding" in envelope.headers
        return Settlement.OK if packed else await super().answer(envelope)


class ReplaysShort(ReferenceBinding):
    """Replays a hundred records at most."""

    replayer_class = ShortReplayer


class ReplaysPlain(ReferenceBinding):
    """Reads no compressed requests."""

    replayer_class = PlainReplayer


class BeginsLater(ReferenceBinding):
    """Passes over the first record of fx that it gets from a checkpoint."""

    async def resume(self, subscription: Subscription, handler: Handler) -> None:
        passed: list[str] = []

        async def handle(envelope: Envelope) -> Settlement:
            if envelope.topic.split(".")[2] == "fx" and not passed:
                passed.append(envelope.topic)
                return Settlement.OK
            return await handler(envelope)

        await super().resume(subscription, handle)


class ResumesKnownHeaders(ReferenceBinding):
    """Hands over no unknown headers from a checkpoint."""

    async def resume(self, subscription: Subscription, handler: Handler) -> None:
        async def handle(envelope: Envelope) -> Settlement:
            unknown = [name for name in envelope.headers if name not in self.contract.headers]
            return await handler(setting(**dict.fromkeys(unknown))(envelope))

        await super().resume(subscription, handle)


class CapturesNoEmptyValues(KeepsOtherwise):
    """Keeps no header without a value."""

    def otherwise(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for row in rows:
            row["headers"] = {name: text for name, text in row["headers"].items() if text}
        return rows


def mutants(_contract: Contract) -> list[Mutant]:
    """Every mutant of the chapter."""
    return [
        Mutant("takes a raising sink for done", "RPL-09", DeafToSinks),
        Mutant("replays a hundred records at most", "RPL-09", ReplaysShort),
        Mutant("reads no compressed requests", "RPL-09", ReplaysPlain),
        Mutant("begins one record later in fx", "RPL-10", BeginsLater),
        Mutant("resumes without unknown headers", "RPL-10", ResumesKnownHeaders),
        Mutant("captures no empty values", "AUD-06", CapturesNoEmptyValues),
    ]
