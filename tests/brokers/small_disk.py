"""A disk that is soon full, for tests of what a server does then."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

MOUNT = 'mount -t tmpfs -o size=12m tmpfs "$0" && echo made && read line && '
GROW = 'mount -o remount,size=64m "$0" && echo grown && exec cat'


@contextlib.contextmanager
def small_disk(directory: Path) -> Iterator[tuple[Path, Callable[[], None]]]:
    """A disk of a few megabytes that no other process sees, and a way to give it more room."""
    command = shutil.which("unshare")
    if command is None:
        pytest.skip("unshare is not there, which mounts a small disk for one process")
    words = [command, "-Urm", "sh", "-c", MOUNT + GROW, str(directory)]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as keeper:
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        assert keeper.stderr is not None
        if keeper.stdout.readline() != "made\n":
            pytest.skip(f"a small disk cannot be mounted here: {keeper.stderr.read().strip()}")

        def grow() -> None:
            assert keeper.stdin is not None
            assert keeper.stdout is not None
            keeper.stdin.write("more\n")
            keeper.stdin.flush()
            assert keeper.stdout.readline() == "grown\n"

        try:
            yield Path(f"/proc/{keeper.pid}/root{directory}"), grow
        finally:
            keeper.stdin.close()
