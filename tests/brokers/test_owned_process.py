"""Servers end with their owner, also when it is killed, and nobody else's process is touched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ampybus_contract.brokers.owned_process import (
    ServerDirectory,
    end_orphans,
    owned_process,
    records,
)
from ampybus_contract.brokers.supervisor import identity

SECONDS = 20.0
SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
OWNER = """
import sys, time
from ampybus_contract.brokers.owned_process import ServerDirectory, owned_process
with ServerDirectory("test") as directory:
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    with owned_process(command, directory, directory / "log") as server:
        print(server.pid, server.supervisor.pid, directory, flush=True)
        time.sleep(60)
"""


@pytest.fixture(autouse=True)
def own_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(SLEEPER) as process:
        yield process
        process.kill()


def until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + SECONDS
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def start_owner() -> tuple[subprocess.Popen[str], int, int, Path]:
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pid, supervisor, directory = owner.stdout.readline().split()
    owner.stdout.close()
    return owner, int(pid), int(supervisor), Path(directory)


def note(record: str, **values: object) -> Path:
    path = records() / record
    nobody = {"supervisor": 2**22 + 1, "supervisor_started": "never"}
    path.write_text(json.dumps({**nobody, **values}))
    return path


def test_a_killed_owner_takes_its_server_and_files_along() -> None:
    owner, pid, _, directory = start_owner()
    assert identity(pid) is not None
    assert directory.exists()
    owner.kill()
    owner.wait()
    assert until(lambda: identity(pid) is None)
    assert until(lambda: not directory.exists())
    assert until(lambda: list(records().iterdir()) == [])


def test_the_next_start_removes_what_a_killed_supervisor_left() -> None:
    owner, pid, supervisor, directory = start_owner()
    os.kill(supervisor, signal.SIGKILL)
    owner.kill()
    owner.wait()
    assert until(lambda: identity(supervisor) is None)
    with ServerDirectory("test"):
        assert identity(pid) is None
        assert not directory.exists()
    assert list(records().iterdir()) == []


def test_an_orphan_is_killed(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    left = tmp_path / "ampybus-left"
    left.mkdir()
    note("left.json", pid=sleeper.pid, started=identity(sleeper.pid), directory=str(left))
    assert end_orphans() == [sleeper.pid]
    assert sleeper.wait(SECONDS) == -signal.SIGKILL
    assert not left.exists()


def test_a_foreign_process_and_a_foreign_directory_are_left_alone(
    sleeper: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    foreign = tmp_path / "documents"
    foreign.mkdir()
    record = note("old.json", pid=sleeper.pid, started="another time", directory=str(foreign))
    assert end_orphans() == []
    assert sleeper.poll() is None
    assert foreign.exists()
    assert not record.exists()


def test_a_server_whose_owner_lives_is_left_alone() -> None:
    with (
        ServerDirectory("test") as directory,
        owned_process(SLEEPER, directory, directory / "log") as server,
    ):
        assert end_orphans() == []
        assert identity(server.pid) is not None
        assert server.ended() is None
    assert identity(server.pid) is None


def test_the_end_of_a_server_is_seen() -> None:
    with (
        ServerDirectory("test") as directory,
        owned_process(SLEEPER, directory, directory / "log") as server,
    ):
        os.kill(server.pid, signal.SIGKILL)
        assert until(lambda: server.ended() is not None)
        assert server.ended() == 128 + signal.SIGKILL
