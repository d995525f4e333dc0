"""What neither schema nor loader can say of a spec: whether its parts make sense together."""

from ampybus_contract.lint.run import lint

__all__ = ["lint"]
