"""A program of its own that runs one server and ends it when its owner is gone.

Started as ``python supervisor.py RECORD DIRECTORY STOP_SECONDS COMMAND…`` with a pipe as standard input.
Only the owner holds the other end: when the owner ends, however it ends, the pipe closes and the server is
killed, with what it started: some servers' commands only start the real one. ``stop`` on the pipe asks for
a clean end first. Uses the standard library alone and imports nothing of the package, so that it starts at
once.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
START_TIME_FIELD = 19
LINUX = sys.platform == "linux"


def identity(pid: int) -> str | None:
    """What tells a process from a later one with the same id: its start; None where there is none alive."""
    if LINUX:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return None if fields[0] in "ZX" else f"{boot} {fields[START_TIME_FIELD]}"
    found = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False, timeout=10
    )
    return found.stdout.strip() or None


def kill(pid: int, started: str, seconds: float) -> bool:
    """Kill a process if it is still the one that started then; whether it is gone after that many seconds."""
    deadline = time.monotonic() + seconds
    while identity(pid) == started:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def main(arguments: list[str]) -> int:
    """Run the command to its end; gives its exit code, or 128 + the signal that ended it."""
    record, directory, stop_seconds, *command = arguments
    preexec = _end_with_this_process if LINUX else None
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        process_group=0,
        preexec_fn=preexec,  # noqa: PLW1509  this process has one thread still
    )
    server = {"pid": child.pid, "started": identity(child.pid), "directory": directory}
    owner = {"supervisor": os.getpid(), "supervisor_started": identity(os.getpid())}
    Path(record).write_text(json.dumps({**server, **owner}))
    orphaned = threading.Event()

    def obey() -> None:
        if os.read(sys.stdin.fileno(), 5) == b"stop\n":
            child.terminate()
            try:
                child.wait(float(stop_seconds))
            except subprocess.TimeoutExpired:
                child.kill()
        else:
            orphaned.set()
            child.kill()

    threading.Thread(target=obey, daemon=True).start()
    with contextlib.suppress(BrokenPipeError):
        print(child.pid, flush=True)
    code = child.wait()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    if orphaned.is_set():
        shutil.rmtree(directory, ignore_errors=True)
    Path(record).unlink(missing_ok=True)
    return code if code >= 0 else 128 - code


def _end_with_this_process() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
