"""Spec to findings."""

from ampybus_contract.validation.finding import Finding, InvalidEnvelopeError
from ampybus_contract.validation.validator import Validator, check, is_valid, validate, validator

__all__ = ["Finding", "InvalidEnvelopeError", "Validator", "check", "is_valid", "validate", "validator"]
