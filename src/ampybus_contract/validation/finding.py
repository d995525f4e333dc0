"""What a validation says."""

from __future__ import annotations

from dataclasses import dataclass

from ampybus_contract.errors import AmpyBusError


@dataclass(frozen=True, slots=True)
class Finding:
    """One departure from the contract: which requirement, how serious, where, and what to do."""

    requirement: str
    level: str
    where: str
    message: str
    expected: str
    got: str
    hint: str


class InvalidEnvelopeError(AmpyBusError):
    """An envelope breaks at least one MUST; ``findings`` holds all of every level."""

    code = "ENVELOPE"

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__(
            "\n".join(
                f"{item.requirement} {item.where}: expected {item.expected}, got {item.got}. Fix: {item.hint}"
                for item in findings
            )
        )
        self.findings = findings
