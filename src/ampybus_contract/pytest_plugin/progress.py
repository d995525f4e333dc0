"""What runs now, in one line below pytest's own output, on a terminal that somebody looks at."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager

import pytest

EVERY_SECONDS = 1.0
CLEAR = "\x1b[J"
BELOW = "\x1bD\x1b[A\x1b7\x1b[B\r"
BACK = "\x1b8"


def wanted(config: pytest.Config, reporter: pytest.TerminalReporter) -> bool:
    """Whether a person watches: a terminal, neither quiet nor debugging, captured, and no other process."""
    return (
        bool(reporter.isatty)
        and os.environ.get("TERM", "dumb") != "dumb"
        and config.get_verbosity() >= 0
        and config.getoption("capture") != "no"
        and not config.getoption("usepdb")
        and not hasattr(config, "workerinput")
        and not config.getoption("numprocesses", None)
        and bool(config.getoption("dist", "no") == "no")
    )


class LiveProgress:
    """Keeps one line below the cursor: the check that runs, how many are done, and for how long.

    The cursor stays where pytest left it. The line is away whenever pytest writes, and written by a thread
    while a check runs, over a descriptor of its own because pytest captures the usual one then.
    ``texts`` are what the checks of the contract say.
    """

    def __init__(self, reporter: pytest.TerminalReporter, texts: Mapping[str, str]) -> None:
        self.reporter = reporter
        self.texts = texts
        self.names: dict[str, str] = {}
        self.done = 0
        self.current = ""
        self.began = time.monotonic()
        self.terminal: int | None = None
        self.visible = False
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.ticking = threading.Thread(target=self._tick, name="ampybus-progress", daemon=True)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Know what will run, and by which check's name."""
        for item in session.items:
            mark = item.get_closest_marker("ampybus")
            self.names[item.nodeid] = mark.args[0] if mark else item.name

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logstart(self, nodeid: str) -> Generator[None]:
        """A test begins; what pytest says of that comes first."""
        self._hide()
        yield
        self.current = nodeid
        if self.terminal is None:
            self.terminal = os.dup(sys.__stdout__.fileno() if sys.__stdout__ else 1)
            self.began = time.monotonic()
            self.ticking.start()
        self._show()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logreport(self) -> Generator[None]:
        """Out of the way of a dot."""
        self._hide()
        yield
        self._show()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logfinish(self) -> Generator[None]:
        """One more is done."""
        self._hide()
        yield
        self.done += 1

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Out of the way of what else is written."""
        self._hide()
        try:
            yield
        finally:
            self._show()

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self) -> None:
        """Leave a clean terminal."""
        self._end()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Leave a clean terminal."""
        self._end()

    def line(self) -> str:
        """The line, cut to the width of the terminal."""
        minutes, seconds = divmod(int(time.monotonic() - self.began), 60)
        name = self.names.get(self.current, "")
        text = (
            f"{name}  {self.done}/{len(self.names)} done  {minutes}:{seconds:02}  {self.texts.get(name, '')}"
        )
        return text[: shutil.get_terminal_size().columns - 1]

    def _show(self) -> None:
        with self.lock:
            self.visible = True
            self._draw()

    def _hide(self) -> None:
        with self.lock:
            if self.visible:
                self._write(CLEAR)
            self.visible = False

    def _draw(self) -> None:
        self._write(CLEAR + BELOW + self.line() + BACK)

    def _write(self, text: str) -> None:
        if self.terminal is not None:
            if threading.current_thread() is not self.ticking:
                self.reporter.flush()
            os.write(self.terminal, text.encode(errors="replace"))

    def _tick(self) -> None:
        while not self.ended.wait(EVERY_SECONDS):
            with self.lock:
                if self.visible:
                    self._draw()

    def _end(self) -> None:
        self._hide()
        self.ended.set()
        if self.ticking.is_alive():
            self.ticking.join()
        if self.terminal is not None:
            os.close(self.terminal)
            self.terminal = None
