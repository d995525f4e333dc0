"""What hangs is shown: a test that is over its time fails with the stacks of its asyncio tasks."""

from __future__ import annotations

import asyncio
import io
import signal
from types import FrameType
from typing import Any

import pytest


def stacks() -> str:
    """Where each task of the loop that runs now waits; empty where none runs."""
    try:
        tasks = sorted(asyncio.all_tasks(), key=lambda task: task.get_name())
    except RuntimeError:
        return ""
    words = io.StringIO()
    for task in tasks:
        task.print_stack(file=words)
    return words.getvalue()


class Stacks:
    """Puts the stacks of all tasks into the report of a test that ``pytest-timeout`` ends."""

    @pytest.hookimpl(wrapper=True)
    def pytest_timeout_set_timer(self, item: pytest.Item) -> Any:
        made = yield
        end = signal.getsignal(signal.SIGALRM)
        if callable(end):

            def alarm(number: int, frame: FrameType | None) -> None:
                item.add_report_section("call", "tasks", stacks())
                end(number, frame)

            signal.signal(signal.SIGALRM, alarm)
        return made
