"""What a binding left in the telemetry directory of a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ampybus_contract.bindings.protocol import LOGS_FILE, METRICS_FILE, SPANS_FILE
from ampybus_contract.harness.history import Operation


def shown(directory: Path) -> Iterator[tuple[Operation, str]]:
    """All metrics as one text, then each log record and each span; what is not there is left out."""
    whole = directory / METRICS_FILE
    if whole.exists():
        yield Operation.METRICS, whole.read_text(encoding="utf-8", errors="replace")
    for name, operation in ((LOGS_FILE, Operation.LOG), (SPANS_FILE, Operation.SPAN)):
        path = directory / name
        if path.exists():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                yield operation, line
