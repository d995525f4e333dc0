"""Server processes that never outlive the process that started them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from ampybus_contract.brokers import supervisor
from ampybus_contract.errors import BrokerError

STOP_SECONDS = 5.0
KILL_SECONDS = 5.0
PREFIX = "ampybus-"


@dataclass(frozen=True, slots=True)
class OwnedProcess:
    """A running server: its process id, and the supervisor that ends it with this process."""

    pid: int
    supervisor: subprocess.Popen[bytes]

    def ended(self) -> int | None:
        """The exit code of a server that ended by itself (128 + the signal for a killed one), else None."""
        return self.supervisor.poll()


class ServerDirectory:
    """A new directory for a server's files, removed with the block; orphans of earlier runs go first."""

    def __init__(self, name: str) -> None:
        end_orphans()
        self.path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{name}-"))

    def __enter__(self) -> Path:
        return self.path

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


@contextlib.contextmanager
def owned_process(command: Sequence[str], directory: Path, log: Path) -> Iterator[OwnedProcess]:
    """Run a server and end it with the block: asked first, killed after ``STOP_SECONDS``.

    When this process is killed, its supervisor kills the server and removes ``directory``; when both are,
    the next start does (``end_orphans``). The server's words go to ``log``. Raises BrokerError where the
    command cannot be started.
    """
    record = records() / f"{directory.name}.json"
    with log.open("wb") as words:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", supervisor.__file__, record, directory, str(STOP_SECONDS), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=words,
            bufsize=0,
            start_new_session=True,
        )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin as orders, process.stdout as answers:
        try:
            pid = answers.readline()
            if not pid:
                code = process.wait(STOP_SECONDS)
                raise BrokerError(
                    f"BROKER expected to start {command[0]}, it ended with code {code}: "
                    f"{log.read_text(errors='replace')[-200:].strip()!r}. Fix: see that it can be run"
                )
            yield OwnedProcess(int(pid), process)
        finally:
            with contextlib.suppress(BrokenPipeError):
                orders.write(b"stop\n")
            _wait(process)


def _wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(STOP_SECONDS + KILL_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def records() -> Path:
    """Where the running servers of this user are noted; one file each."""
    base = os.environ.get("XDG_RUNTIME_DIR") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    directory = Path(base) / "ampybus-contract" / "servers"
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    return directory


def end_orphans() -> list[int]:
    """Kill servers whose supervisor is gone and remove their files; gives their process ids.

    A process is killed only where its start is the noted one, so that an id given to another process since
    does no harm; a directory is removed only where it is one of ours.
    """
    ended = []
    for record in sorted(records().glob("*.json")):
        try:
            noted = json.loads(record.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            continue
        if supervisor.identity(noted["supervisor"]) == noted["supervisor_started"]:
            continue
        alive = supervisor.identity(noted["pid"]) == noted["started"]
        if not supervisor.kill(noted["pid"], noted["started"], KILL_SECONDS):
            continue
        directory = Path(noted["directory"])
        if directory.name.startswith(PREFIX):
            shutil.rmtree(directory, ignore_errors=True)
        record.unlink(missing_ok=True)
        if alive:
            ended.append(noted["pid"])
    return ended
