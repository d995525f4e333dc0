"""Exit codes of every command and of a conformance run."""

from __future__ import annotations

CONFORMANT, FINDINGS, USAGE, INCONCLUSIVE, INTERNAL = range(5)
