"""The contract, loaded and typed."""

from ampybus_contract.contract.load import data_directory, default_contract, load_contract
from ampybus_contract.contract.model import (
    Component,
    Contract,
    DomainRule,
    HeaderRule,
    PayloadType,
    Requirement,
)

__all__ = [
    "Component",
    "Contract",
    "DomainRule",
    "HeaderRule",
    "PayloadType",
    "Requirement",
    "data_directory",
    "default_contract",
    "load_contract",
]
