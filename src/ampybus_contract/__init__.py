"""The ampy-bus contract as data, and what is derived from it."""

from ampybus_contract.envelope import Envelope, Headers, Topic
from ampybus_contract.validation import Finding, InvalidEnvelopeError, check, is_valid, new_envelope, validate

__all__ = [
    "Envelope",
    "Finding",
    "Headers",
    "InvalidEnvelopeError",
    "Topic",
    "check",
    "is_valid",
    "new_envelope",
    "validate",
]
