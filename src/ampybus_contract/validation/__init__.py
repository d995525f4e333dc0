"""Spec to findings."""

from ampybus_contract.validation.finding import Finding, InvalidEnvelopeError
from ampybus_contract.validation.new_envelope import new_envelope
from ampybus_contract.validation.validator import Validator, check, is_valid, validate, validator

__all__ = [
    "Finding",
    "InvalidEnvelopeError",
    "Validator",
    "check",
    "is_valid",
    "new_envelope",
    "validate",
    "validator",
]
