"""What to install for what was asked for."""

from __future__ import annotations

from ampybus_contract.errors import TargetError


def missing_extra(package: str, extra: str) -> TargetError:
    """The error for a package that an extra of this one brings."""
    return TargetError(
        f"TARGET expected {package}, it is not installed. Fix: pip install 'ampybus-contract[{extra}]'"
    )
