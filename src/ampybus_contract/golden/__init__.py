"""Golden envelopes: right ones kept by hand, and what is derived from them by command."""

from ampybus_contract.golden.build import build, golden_files, rebuilt
from ampybus_contract.golden.verify import differences

__all__ = ["build", "differences", "golden_files", "rebuilt"]
