"""A child process with an environment and a directory of its own, of which nothing is left at the end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ampybus_contract.bindings.process_lines import LONGEST_LINE
from ampybus_contract.errors import AdapterError

KEPT = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "VIRTUAL_ENV", "PYTHONPATH", "JAVA_HOME"}
    | {"LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "SYSTEMROOT"}
)
"""What a child may see of this environment: nothing tells it that it is judged."""

MARK = "TMPDIR"
KEPT_LOG_LINES = 40
LOG_CHUNK = 4096
SHOWN_LOG_LINES = 24
SHOWN_LOG = 300
ROUNDS = 5
LAST_WORDS_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a child gets: more variables than ``KEPT``, a working directory of its own, bytes of memory."""

    variables: Mapping[str, str] | None = None
    own_directory: bool = False
    memory: int | None = None

    def environment(self, directory: str) -> dict[str, str]:
        """The environment of a child whose files go below a directory, which marks it."""
        kept = {name: text for name, text in os.environ.items() if name in KEPT or name.startswith("LC_")}
        return {**kept, **(self.variables or {}), MARK: directory}


class _Protocol(asyncio.subprocess.SubprocessStreamProtocol):
    """Knows when the process itself has ended, also where others still hold its pipes."""

    def __init__(self) -> None:
        super().__init__(LONGEST_LINE, asyncio.get_running_loop())
        self.exited = asyncio.Event()

    def process_exited(self) -> None:
        super().process_exited()
        self.exited.set()


class Child:
    """A running child: its pipes, the end of its log, and the way to end it with all that it started."""

    def __init__(self, transport: asyncio.SubprocessTransport, protocol: _Protocol, directory: str) -> None:
        process = asyncio.subprocess.Process(transport, protocol, asyncio.get_running_loop())
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self.transport = transport
        self.exited = protocol.exited
        self.directory = directory
        self.stdin = process.stdin
        self.stdout = process.stdout
        self.log: deque[bytes] = deque(maxlen=KEPT_LOG_LINES)
        self.logging = asyncio.create_task(self._drain())

    @classmethod
    async def start(cls, command: Sequence[str], surroundings: Surroundings) -> Child:
        """Start a command. Raises AdapterError where it cannot be run."""
        directory = tempfile.mkdtemp()
        loop = asyncio.get_running_loop()
        pipe = asyncio.subprocess.PIPE
        try:
            transport, protocol = await loop.subprocess_exec(
                _Protocol,
                *command,
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                start_new_session=True,
                env=surroundings.environment(directory),
                cwd=directory if surroundings.own_directory else None,
            )
        except OSError as error:
            shutil.rmtree(directory, ignore_errors=True)
            fix = "name a program that can be run"
            raise AdapterError(f"ADAPTER expected to start {command[0]}, got {error}. Fix: {fix}") from error
        if surroundings.memory is not None:
            _bound(transport.get_pid(), surroundings.memory)
        return cls(transport, protocol, directory)

    def words(self) -> str:
        """The end of what it wrote to its standard error."""
        return b"".join(self.log).decode(errors="replace").strip()

    async def last_words(self) -> str:
        """As ``words``, once it has ended; something it started may hold its standard error open."""
        await asyncio.wait({self.logging}, timeout=LAST_WORDS_SECONDS)
        return self.words()

    def signal(self, number: int) -> None:
        """Send a signal to the process alone."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def kill(self) -> None:
        """Kill it, and whatever it has started, wherever that went."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for _ in range(ROUNDS):
            if not kill_marked(self.directory):
                break
        self.stdin.close()
        await self.exited.wait()
        self.logging.cancel()
        await asyncio.gather(self.logging, return_exceptions=True)
        self.transport.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    async def _drain(self) -> None:
        assert self.process.stderr is not None
        while chunk := await self.process.stderr.read(LOG_CHUNK):
            self.log.append(chunk)


def _bound(pid: int, memory: int) -> None:
    """Let a process have so many bytes of address space, where the system can bound another process."""
    if sys.platform == "linux":
        import resource  # noqa: PLC0415  not on every system

        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_AS, (memory, memory))


def kill_marked(directory: str) -> int:
    """Kill every process that has a child's mark in its environment; gives how many there were."""
    mark, found = f"{MARK}={directory}".encode(), 0
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark in path.read_bytes().split(b"\0"):
                os.kill(int(path.parent.name), signal.SIGKILL)
                found += 1
    return found


def quoted(words: str) -> str:
    """The end of a log for the end of a sentence."""
    return f"it said {words[-SHOWN_LOG:].strip()!r}" if "\n" not in words else "its log is below"


def below(words: str) -> str:
    """The end of a log as lines to put below a sentence; nothing for what ``quoted`` shows."""
    if "\n" not in words:
        return ""
    return "".join(f"\n    {line}" for line in words.splitlines()[-SHOWN_LOG_LINES:])
