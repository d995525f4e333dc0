"""The tiers of the tests: what a test may start, by its markers; a test that starts more is stopped."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

import pytest

HERE = Path(__file__).parent
REAL_SERVERS = ("server", "kafka", "container")
PROGRAMS = {
    "nats-server": "server",
    "java": "kafka",
    "noida-db": "kafka",
    "node": "browser",
    "chromium": "browser",
    "chromium-browser": "browser",
    "google-chrome": "browser",
    "google-chrome-stable": "browser",
    "pytest": "subprocess",
    "make": "subprocess",
}
MODULES = {"pytest": "subprocess", "build": "subprocess"}


def tier_of(words: Sequence[str]) -> str | None:
    """The tier that a command belongs to, None for one that any test may start."""
    names = [PurePath(word).name for word in words]
    for name, following in zip(names, [*words[1:], ""], strict=True):
        if name in PROGRAMS:
            return PROGRAMS[name]
        if name == "-m" and following in MODULES:
            return MODULES[following]
        if name.startswith("-m") and name[2:] in MODULES:
            return MODULES[name[2:]]
        if name == "ampybus" and following == "mutants":
            return "subprocess"
    return None


def ours(item: pytest.Item) -> bool:
    """Whether it is one of these tests, and no check of a conformance run that was started here."""
    return HERE in item.path.parents


class Guard:
    """Stops a test that starts what its markers do not name."""

    def __init__(self) -> None:
        self.item: pytest.Item | None = None
        sys.addaudithook(self.heard)

    def heard(self, event: str, args: tuple[Any, ...]) -> None:
        if self.item is None or event not in {"subprocess.Popen", "socket.connect"}:
            return
        tier = tier_of(words_of(args[1])) if event == "subprocess.Popen" else engine(args[1])
        if tier is not None and self.item.get_closest_marker(tier) is None:
            pytest.fail(
                f"TIER {self.item.nodeid}: expected the marker {tier!r} on a test that starts {args[1]!r}, "
                f"got none. Fix: mark it with pytest.mark.{tier}"
            )

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        self.item = item if ours(item) else None
        try:
            return (yield)
        finally:
            self.item = None


def words_of(command: object) -> list[str]:
    """The words of a command as ``subprocess`` takes it."""
    if isinstance(command, str | bytes):
        return [str(command)]
    return [str(word) for word in command] if isinstance(command, Sequence) else []


def engine(address: object) -> str | None:
    """The tier of a connection: only that to a Docker engine has one."""
    return "container" if isinstance(address, str) and address.endswith("docker.sock") else None
