"""Bindings that let through what must not be on the bus, or show what nobody may see."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ampybus_contract.bindings.protocol import Endpoint
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.transport import Transport
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.errors import BrokerError
from ampybus_contract.harness.mutants.build import Build, Mutant, lets
from ampybus_contract.validation import Finding, validate


class TakesWhatArrives(ReferenceBinding):
    """Looks for personal data on publish, and not at what comes from elsewhere."""

    def poison(self, envelope: Envelope) -> tuple[str, str] | None:
        found = [item for item in validate(envelope, self.contract) if item.level == "MUST"]
        privacy = self.contract.privacy.requirements.values()
        return None if {item.requirement for item in found} <= {*privacy} else super().poison(envelope)


class ShowsItsUrl(ReferenceBinding):
    """Names the URL as it is where it does not get through."""

    async def start(self, endpoint: Endpoint) -> None:
        try:
            await super().start(endpoint)
        except BrokerError as error:
            raise BrokerError(f"{error} ({endpoint.url})") from error


class LogsItsUrl(ReferenceBinding):
    """Says where it connects to."""

    async def start(self, endpoint: Endpoint) -> None:
        logging.getLogger(__name__).info("connecting to %s", endpoint.url)
        await super().start(endpoint)


class PrintsItsUrl(ReferenceBinding):
    """Has a repr with everything in it."""

    url = ""

    async def start(self, endpoint: Endpoint) -> None:
        self.url = endpoint.url
        await super().start(endpoint)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"


class NamesItsUrlInDeadLetters(PrintsItsUrl):
    """Says in each dead letter where it was connected to."""

    def __repr__(self) -> str:
        return type(self).__name__

    def dead_letter(self, envelope: Envelope, kind: str, detail: str) -> Envelope:
        return super().dead_letter(envelope, kind, f"{detail} at {self.url}")


def mutants(contract: Contract) -> list[Mutant]:
    """Every mutant of the chapter."""
    fields = contract.privacy.requirements["fields"]
    return [
        Mutant("scans headers only", "SEC-09", _blind(lambda item: item.where.startswith("payload"))),
        Mutant("scans payloads only", "SEC-09", _blind(lambda item: item.where.startswith("headers"))),
        Mutant("knows no undeclared fields", "SEC-09", _blind(lambda item: item.requirement == fields)),
        Mutant("logs its URL", "SEC-10", LogsItsUrl),
        Mutant("shows its URL in its repr", "SEC-10", PrintsItsUrl),
        Mutant("puts its URL into dead letters", "SEC-10", NamesItsUrlInDeadLetters),
        Mutant("puts its URL into an error", "SEC-10", ShowsItsUrl),
        Mutant("takes personal data that arrives", "SEC-09", TakesWhatArrives),
    ]


def _blind(overlooked: Callable[[Finding], bool]) -> Build:
    """Publishes personal data where all of it is in overlooked places."""

    def build(transport: Transport, contract: Contract) -> ReferenceBinding:
        wrong = {*contract.privacy.requirements.values()}

        def harmless(envelope: Envelope) -> bool:
            found = [item for item in validate(envelope, contract) if item.level == "MUST"]
            return all(item.requirement in wrong and overlooked(item) for item in found)

        return lets(harmless)(transport, contract)

    return build
