"""Spec to findings."""

from ampybus_contract.validation.finding import Finding, InvalidEnvelopeError
from ampybus_contract.validation.validator import check, validate

__all__ = ["Finding", "InvalidEnvelopeError", "check", "validate"]
