"""Exit codes of every command."""

from __future__ import annotations

CONFORMANT, FINDINGS, USAGE, INCONCLUSIVE, INTERNAL = range(5)
