"""The levers on a server process of ours."""

from __future__ import annotations

import contextlib
import os
import signal
from contextlib import AbstractContextManager

from ampybus_contract.brokers.owned_process import OwnedProcess
from ampybus_contract.errors import BrokerError


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
