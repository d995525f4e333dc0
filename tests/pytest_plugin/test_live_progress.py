"""What runs now is shown on a terminal, and what pytest prints is as without it."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.subprocess

LINES, COLUMNS = 8, 100
TWO = ["--ampybus-conformance", "-k", "ENV-05 or ORD-01"]
SEQUENCE = re.compile(r"\x1b(?:\[([0-9;?]*)([A-Za-z])|([D78]))")
HANGING = """
import asyncio
from ampybus_contract.bindings.memory import MemoryTransport
from ampybus_contract.bindings.nats import NatsTransport
from ampybus_contract.bindings.reference import ReferenceBinding

class Hanging(ReferenceBinding):
    async def publish(self, envelope):
        await asyncio.sleep(3600)

def hanging():
    return Hanging(NatsTransport())
"""


class Screen:
    """What a terminal shows after so much output, as far as pytest and the line below it use one."""

    def __init__(self, text: str) -> None:
        self.rows = [[" "] * COLUMNS for _ in range(LINES)]
        self.past: list[list[str]] = []
        self.row, self.column = 0, 0
        self.saved = (0, 0)
        place = 0
        while place < len(text):
            found = SEQUENCE.match(text, place)
            if found:
                self.control(*found.groups(default=""))
                place = found.end()
            else:
                self.character(text[place])
                place += 1

    @property
    def shown(self) -> str:
        return "\n".join("".join(row).rstrip() for row in [*self.past, *self.rows]).rstrip()

    def character(self, letter: str) -> None:
        if letter == "\n":
            self.down()
        elif letter == "\r":
            self.column = 0
        elif letter >= " ":
            if self.column == COLUMNS:
                self.down()
                self.column = 0
            self.rows[self.row][self.column] = letter
            self.column += 1

    def down(self) -> None:
        if self.row == LINES - 1:
            self.past.append(self.rows[0])
            self.rows = [*self.rows[1:], [" "] * COLUMNS]
        else:
            self.row += 1

    def control(self, numbers: str, letter: str, short: str) -> None:
        count = int(numbers) if numbers.isdigit() else 1
        if short == "D":
            self.down()
        elif short == "7":
            self.saved = (self.row, self.column)
        elif short == "8":
            self.row, self.column = self.saved
        elif letter == "A":
            self.row = max(self.row - count, 0)
        elif letter == "B":
            self.row = min(self.row + count, LINES - 1)
        elif letter == "J":
            self.rows[self.row][self.column :] = [" "] * (COLUMNS - self.column)
            self.rows[self.row + 1 :] = [[" "] * COLUMNS for _ in self.rows[self.row + 1 :]]
        else:
            assert letter == "m", f"{letter} is not known here"


def on_terminal(
    directory: Path, *words: str, until: Callable[[str], bool] | None = None, **env: str
) -> tuple[int, str]:
    """Run pytest on a terminal of its own; once ``until`` likes the output, press Ctrl-C."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (LINES, COLUMNS))
    command = [sys.executable, "-m", "pytest", "-p", "no:randomly", "-p", "no:cacheprovider", *words]
    process = subprocess.Popen(
        [*command, "--color=no"], cwd=directory, stdin=theirs, stdout=theirs, stderr=theirs,
        env={**os.environ, "TERM": "xterm", **env}, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    text, deadline = "", time.monotonic() + 100
    try:
        while time.monotonic() < deadline:
            if select.select([ours], [], [], 1)[0]:
                try:
                    data = os.read(ours, 65536)
                except OSError:
                    break
                text += data.decode(errors="replace")
            if until is not None and until(text):
                process.send_signal(signal.SIGINT)
                until = None
        return process.wait(timeout=max(deadline - time.monotonic(), 1)), text
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def untimed(text: str) -> str:
    return re.sub(r"in \d+\.\d+s", "in TIME", text.replace("=", ""))


@pytest.mark.parametrize("detail", [[], ["-v"]])
def test_the_line_names_the_check_and_the_count_and_leaves_pytest_as_it_was(
    tmp_path: Path, detail: list[str]
) -> None:
    code, text = on_terminal(tmp_path, *TWO, *detail)
    assert code == 0, text
    assert re.search(r"ENV-05  0/2 done  0:\d\d  \w+ ", text)
    assert "ORD-01  1/2 done" in text
    plain_code, plain = on_terminal(tmp_path, *TWO, *detail, TERM="dumb")
    assert plain_code == 0
    assert "/2 done" not in plain
    assert untimed(Screen(text).shown) == untimed(Screen(plain).shown)


@pytest.mark.parametrize("words", [["-q"], ["-n", "1"], ["-s"]])
def test_quiet_runs_workers_and_open_output_have_no_line(tmp_path: Path, words: list[str]) -> None:
    code, text = on_terminal(tmp_path, *TWO, *words)
    assert code == 0
    assert "/2 done" not in text


def test_what_is_no_terminal_gets_plain_dots(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *TWO]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, timeout=100)
    assert b"\x1b" not in done.stdout
    assert b"/2 done" not in done.stdout


def test_the_time_goes_on_while_a_check_hangs_and_ctrl_c_leaves_a_clean_terminal(tmp_path: Path) -> None:
    (tmp_path / "bus.py").write_text(HANGING)

    def ticked(text: str) -> bool:
        return len(set(re.findall(r"0/1 done  (\d+:\d\d)", text))) > 1

    words = ["--ampybus-conformance", "--ampybus-binding", "bus:hanging", "-k", "ENV-05"]
    code, text = on_terminal(tmp_path, *words, until=ticked)
    assert code == 2
    shown = Screen(text).shown
    assert "KeyboardInterrupt" in shown
    assert "/1 done" not in shown
