"""One envelope while it is judged, and what was found so far."""

from __future__ import annotations

from collections.abc import Mapping

from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope, Topic
from ampybus_contract.validation.finding import Finding


class Case:
    """The envelope, the contract, the parsed topic with the named parts of its subtopic, and the findings."""

    def __init__(self, envelope: Envelope, contract: Contract) -> None:
        self.envelope = envelope
        self.contract = contract
        self.parsed: Topic | None = None
        self.groups: Mapping[str, str | None] = {}
        self.findings: list[Finding] = []

    def report(self, requirement: str, where: str, expected: str, got: str, hint: str = "") -> None:
        """Add a finding; level, text and fix come from the requirement. Overlays may suppress it."""
        if requirement in self.contract.suppressed:
            return
        rule = self.contract.requirements[requirement]
        shown = got if len(got) <= 120 else f"{got[:117]}..."
        self.findings.append(
            Finding(requirement, rule.level, where, rule.text, expected, shown, hint or rule.fix)
        )
