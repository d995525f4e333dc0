"""Two versions of a contract compared: what changed, whom it breaks, and which version it asks for."""

from ampybus_contract.contract.evolution.compare import Comparison, compare
from ampybus_contract.contract.evolution.effects import Change, Direction
from ampybus_contract.contract.evolution.revisions import spec_at

__all__ = ["Change", "Comparison", "Direction", "compare", "spec_at"]
