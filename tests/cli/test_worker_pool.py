"""Workers end with the process that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

SECONDS = 60.0
BUSY = """
import os, sys, time
from pathlib import Path
from ampybus_contract.cli.worker_pool import worker_pool

def start(note): Path(note).write_text(str(os.getpid()))
def work(number): time.sleep(3600)

if __name__ == "__main__":
    with worker_pool(1, start, sys.argv[1]) as pool:
        list(pool.map(work, range(100)))
"""


def running(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody asked about does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_workers_of_a_killed_parent_end(tmp_path: Path) -> None:
    script, note = tmp_path / "busy.py", tmp_path / "pid"
    script.write_text(BUSY, encoding="utf-8")
    parent = subprocess.Popen([sys.executable, str(script), str(note)])
    deadline = time.monotonic() + SECONDS
    while not (note.exists() and note.read_text(encoding="utf-8")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    worker = int(note.read_text(encoding="utf-8"))
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait(SECONDS)
    while running(worker):
        assert time.monotonic() < deadline, "the worker outlived its parent"
        time.sleep(0.01)
