"""Judge one envelope by the contract; no rule lives here, only the ways to apply one.

The fast path tells an envelope that keeps the contract from one that may not; only the latter is looked
at closely. What the close look says is the verdict.
"""

from __future__ import annotations

from ampybus_contract.contract import Contract, default_contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.validation.case import Case
from ampybus_contract.validation.fast import FastPath
from ampybus_contract.validation.finding import Finding, InvalidEnvelopeError
from ampybus_contract.validation.header_rules import judge_domain_headers, judge_headers, judge_pointer
from ampybus_contract.validation.key_rules import judge_keys_alone
from ampybus_contract.validation.payload_rules import judge_payload, judge_schema
from ampybus_contract.validation.privacy_rules import judge_privacy
from ampybus_contract.validation.topic_rules import judge_origin, judge_topic

_CONTRACTS_KEPT = 8


class Validator:
    """The validators of one contract, compiled once; safe to share between threads."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.fast = FastPath(contract)

    def findings(self, envelope: Envelope, *, payload_known: bool = True) -> list[Finding]:
        """As ``validate``."""
        if self.fast.clean(envelope, payload_known):
            return []
        return close_look(envelope, self.contract, payload_known)

    def is_valid(self, envelope: Envelope, *, payload_known: bool = True) -> bool:
        """Whether the envelope keeps every MUST."""
        return all(item.level != "MUST" for item in self.findings(envelope, payload_known=payload_known))


def close_look(envelope: Envelope, contract: Contract, payload_known: bool = True) -> list[Finding]:
    """Every finding, by the rules one by one; slower than the fast path and never influenced by it."""
    case = Case(envelope, contract)
    judge_headers(case)
    domain = judge_topic(case)
    judge_pointer(case)
    if domain is not None:
        judge_domain_headers(case, domain)
        judge_origin(case, domain)
        kind = judge_schema(case, domain)
        message = None
        if payload_known and "blob_ref" not in envelope.headers:
            message = judge_payload(case, domain, kind)
        else:
            judge_keys_alone(case, domain)
        judge_privacy(case, domain, message)
    return case.findings


_validators: list[Validator] = []


def validator(contract: Contract | None = None) -> Validator:
    """The compiled validator of a contract; the last few contracts are remembered."""
    wanted = contract or default_contract()
    for known in _validators:
        if known.contract is wanted:
            return known
    made = Validator(wanted)
    _validators[:] = [made, *_validators[: _CONTRACTS_KEPT - 1]]
    return made


def validate(
    envelope: Envelope, contract: Contract | None = None, *, payload_known: bool = True
) -> list[Finding]:
    """Every finding for an envelope, of all levels; an empty list means that it keeps the contract.

    ``payload_known=False`` leaves out what only the payload can show (illustrative fixtures).
    """
    return validator(contract).findings(envelope, payload_known=payload_known)


def is_valid(envelope: Envelope, contract: Contract | None = None) -> bool:
    """Whether the envelope keeps every MUST of the contract."""
    return validator(contract).is_valid(envelope)


def check(envelope: Envelope, contract: Contract | None = None) -> None:
    """Raise InvalidEnvelopeError where the envelope breaks a MUST; return None otherwise."""
    findings = validate(envelope, contract)
    if any(finding.level == "MUST" for finding in findings):
        raise InvalidEnvelopeError(findings)
