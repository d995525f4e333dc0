"""The contract, loaded and typed."""

from ampybus_contract.contract.load import data_directory, default_contract, load_contract
from ampybus_contract.contract.model import Contract, DomainRule, HeaderRule, Requirement

__all__ = [
    "Contract",
    "DomainRule",
    "HeaderRule",
    "Requirement",
    "data_directory",
    "default_contract",
    "load_contract",
]
