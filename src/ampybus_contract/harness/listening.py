"""What a binding in this process writes to the loggers of Python."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def listening() -> Iterator[list[str]]:
    """The records of all loggers, as text with their tracebacks, while the block runs.

    From INFO on, as services run: below that, client libraries print what they send to a broker.
    """
    lines: list[str] = []
    root = logging.getLogger()
    handler = _Lines(lines)
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        root.setLevel(before)
        root.removeHandler(handler)


class _Lines(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self.lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))
