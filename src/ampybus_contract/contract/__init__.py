"""The contract, loaded and typed."""

from ampybus_contract.contract.files import data_directory
from ampybus_contract.contract.load import default_contract, load_contract
from ampybus_contract.contract.model import (
    CheckRule,
    Component,
    Contract,
    DomainRule,
    HeaderRule,
    PayloadType,
    Requirement,
    RetryRule,
)

__all__ = [
    "CheckRule",
    "Component",
    "Contract",
    "DomainRule",
    "HeaderRule",
    "PayloadType",
    "Requirement",
    "RetryRule",
    "data_directory",
    "default_contract",
    "load_contract",
]
