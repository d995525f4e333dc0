"""The levers on a server process of ours."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from ampybus_contract.brokers.owned_process import OwnedProcess
from ampybus_contract.brokers.readiness import PortTakenError
from ampybus_contract.errors import BrokerError

PAUSE_SECONDS = 0.05


class OwnedServer:
    """A server that can be killed, and stopped where it is; subclasses know how to start it."""

    def __init__(self) -> None:
        self._running = contextlib.ExitStack()
        self._process: OwnedProcess | None = None

    @property
    def pid(self) -> int:
        """The process id of the server. Raises BrokerError where none was started."""
        if self._process is None:
            raise BrokerError("BROKER expected a started server, got none. Fix: start it")
        return self._process.pid

    def own(self, process: AbstractContextManager[OwnedProcess]) -> OwnedProcess:
        """Start a process, which ends with this server."""
        self._process = self._running.enter_context(process)
        return self._process

    def start_again(self, start: Callable[[], None], seconds: float) -> None:
        """End the process and start it where it was, as soon as its ports are free, for so long at most.

        A client that tries to reconnect may be given that very port to connect from, and hold it for a while.
        """
        deadline = time.monotonic() + seconds
        while True:
            self._running.close()
            try:
                start()
            except PortTakenError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(PAUSE_SECONDS)
            else:
                return

    def kill(self) -> None:
        """End the process at once (kill -9) and wait until it is gone; its data stay."""
        os.kill(self.pid, signal.SIGKILL)
        self._running.close()

    def pause(self) -> None:
        """Stop the process where it is (SIGSTOP): connections stay open and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on; a running one is not changed."""
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """End the server, also a paused one."""
        if self._process is not None and self._process.ended() is None:
            self.resume()
        self._running.close()
