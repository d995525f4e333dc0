"""Bindings that let through what must not be on the bus, or show what nobody may see."""

from __future__ import annotations

from collections.abc import Callable

from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.transport import Transport
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.mutants.build import Build, Mutant, lets
from ampybus_contract.validation import Finding, validate


class TakesWhatArrives(ReferenceBinding):
    """Looks for personal data on publish, and not at what comes from elsewhere."""

    def poison(self, envelope: Envelope) -> tuple[str, str] | None:
        found = [item for item in validate(envelope, self.contract) if item.level == "MUST"]
        privacy = self.contract.privacy.requirements.values()
        return None if {item.requirement for item in found} <= {*privacy} else super().poison(envelope)


def mutants(contract: Contract) -> list[Mutant]:
    """Every mutant of the chapter."""
    fields = contract.privacy.requirements["fields"]
    return [
        Mutant("scans headers only", "SEC-09", _blind(lambda item: item.where.startswith("payload"))),
        Mutant("scans payloads only", "SEC-09", _blind(lambda item: item.where.startswith("headers"))),
        Mutant("knows no undeclared fields", "SEC-09", _blind(lambda item: item.requirement == fields)),
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
