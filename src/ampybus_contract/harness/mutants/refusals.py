"""Bindings that publish something of what breaks the contract, or refuse it in a way of their own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace

from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.transport import Transport
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope, Headers
from ampybus_contract.errors import PublishError
from ampybus_contract.harness.mutants.build import Build, Mutant, lets, overlooks
from ampybus_contract.validation import Finding

RUN, METRICS = "headers.run_id", "metrics"


class MendsHeaders(ReferenceBinding):
    """Takes line breaks out of header values before it looks."""

    async def publish(self, envelope: Envelope) -> None:
        mended = {name: value.translate({10: " ", 13: " "}) for name, value in envelope.headers.items()}
        await super().publish(replace(envelope, headers=Headers(mended)))


class StoresWhatItRefuses(ReferenceBinding):
    """Refuses after it has sent."""

    async def publish(self, envelope: Envelope) -> None:
        if self.violations(envelope):
            with contextlib.suppress(PublishError, UnicodeEncodeError):
                await self.transport.send(envelope)
        await super().publish(envelope)


class LeavesItOpen(ReferenceBinding):
    """Does not say whether what it refuses is stored, where payloads are broken."""

    async def publish(self, envelope: Envelope) -> None:
        try:
            await super().publish(envelope)
        except PublishError as error:
            broken = {item.requirement for item in self.violations(envelope)}
            definite = self.contract.payload.requirements["decode"] not in broken
            raise PublishError(str(error), definite=definite) from error


class RefusesWhatFollows(ReferenceBinding):
    """Refuses a key for good once something of it broke the contract."""

    def __init__(self, transport: Transport, contract: Contract) -> None:
        super().__init__(transport, contract)
        self.refused: set[str] = set()

    async def publish(self, envelope: Envelope) -> None:
        lane = self.lane(envelope)
        if self.violations(envelope):
            self.refused.add(lane)
        elif lane in self.refused:
            raise PublishError("PUBLISH expected another key", definite=True)
        await super().publish(envelope)


def mutants(_contract: Contract) -> list[Mutant]:
    """Every mutant of what is refused."""
    return [
        Mutant(
            "publishes any time", "ENV-09", overlooks(lambda known: [known.headers["produced_at"].format])
        ),
        Mutant(
            "publishes without a run_id", "ENV-09", _overlooking(lambda item: item.where.endswith("run_id"))
        ),
        Mutant(
            "publishes any metrics", "ENV-09", lets(lambda item: item.topic.split(".")[2:3] == ["metrics"])
        ),
        Mutant("publishes anything in the last environment", "ENV-09", _trusting_the_last),
        Mutant("mends line breaks in headers", "ENV-09", MendsHeaders),
        Mutant("stores what it refuses", "ENV-09", StoresWhatItRefuses),
        Mutant("leaves the refusal of broken payloads open", "ENV-09", LeavesItOpen),
        Mutant("refuses a key after one refusal", "ENV-09", RefusesWhatFollows),
    ]


def _time(contract: Contract) -> list[str]:
    return [contract.headers["produced_at"].format]


def _trusting_the_last(transport: Transport, contract: Contract) -> ReferenceBinding:
    last = contract.topic.environments[-1]
    return lets(lambda item: item.topic.split(".")[1:2] == [last])(transport, contract)


def _overlooking(harmless: Callable[[Finding], bool]) -> Build:
    """Publishes where all that is wrong is harmless."""

    class Overlooks(ReferenceBinding):
        def broken(self, envelope: Envelope) -> list[Finding]:
            return [item for item in super().broken(envelope) if not harmless(item)]

    return Overlooks
