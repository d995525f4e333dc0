"""When a server process is ready, and another try where one of its ports was taken meanwhile."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

from ampybus_contract.brokers.owned_process import OwnedProcess
from ampybus_contract.errors import BrokerError

T = TypeVar("T")
STARTS = 3
PAUSE_SECONDS = 0.01
SHOWN_CHARACTERS = 300
TAKEN = ("already in use",)


class PortTakenError(BrokerError):
    """The server ended because another process listens on its port."""


def wait_ready(process: OwnedProcess, log: Path, words: str, seconds: float) -> None:
    """Wait until a server's log says ``words``, its own sign of being ready.

    An open port would be no sign: it may be another's. Raises PortTakenError where it is, and BrokerError
    where the server ends early or takes more than that many seconds.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        code = process.ended()
        said = log.read_text(errors="replace")
        if code is not None:
            kind = PortTakenError if any(sign in said for sign in TAKEN) else BrokerError
            raise kind(
                f"BROKER expected a running server, it ended with code {code}: "
                f"{said[-SHOWN_CHARACTERS:].strip()!r}. Fix: see {log}"
            )
        if words in said:
            return
        time.sleep(PAUSE_SECONDS)
    raise BrokerError(f"BROKER expected a ready server within {seconds:g} s. Fix: see {log}")


@contextlib.contextmanager
def on_a_free_port(start: Callable[[], AbstractContextManager[T]]) -> Iterator[T]:
    """Start a server, which chooses new ports each time, until it gets them; ``STARTS`` tries."""
    with contextlib.ExitStack() as running:
        for attempt in range(1, STARTS + 1):
            try:
                server = running.enter_context(start())
                break
            except PortTakenError:
                if attempt == STARTS:
                    raise
        yield server
