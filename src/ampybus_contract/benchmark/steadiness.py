"""Whether a binding gets the same verdicts run after run, also where something else keeps every core busy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

RUN_SECONDS = 1_800
LEFT_OUT = "deselected"
SPIN = f"""
import os, time
parent, end = os.getppid(), time.monotonic() + {RUN_SECONDS}
while os.getppid() == parent and time.monotonic() < end: pass
"""


def runs_alike(count: int, busy: int, options: Sequence[str]) -> bool:
    """Judge a binding ``count`` times, the last ``busy`` of them with every core busy; print a line for each.

    Each run has a seed of its own. ``options`` are pytest's. Whether all passed, each check as in the first.
    """
    first: dict[str, str] | None = None
    alike = 0
    with TemporaryDirectory(prefix="ampybus-steady-") as directory:
        for number in range(1, count + 1):
            hurried = number > count - busy
            with _spinning() if hurried else ExitStack():
                start = time.monotonic()
                code, verdicts = _run(Path(directory) / "report.json", number, options)
                seconds = time.monotonic() - start
            first = verdicts if first is None else first
            changed = sorted(
                check for check in {*first, *verdicts} if first.get(check) != verdicts.get(check)
            )
            same = code == 0 and bool(verdicts) and not changed
            alike += same
            counts = ", ".join(f"{many} {name}" for name, many in Counter(verdicts.values()).most_common())
            words = "" if same else f"; exit code {code}, other verdicts for: {', '.join(changed) or 'none'}"
            print(f"{number:4} {'busy' if hurried else 'idle'} {seconds:7.1f} s  {counts}{words}", flush=True)
    print(f"{alike} of {count} runs passed alike, {busy} of them with every core busy")
    return alike == count


def _run(report: Path, seed: int, options: Sequence[str]) -> tuple[int, dict[str, str]]:
    """The exit code and the verdict on each check."""
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "--ampybus-conformance", "-q", f"--ampybus-seed={seed}"]
    done = subprocess.run(
        [*command, f"--ampybus-report={report}", *options],
        check=False,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
    )
    if not report.exists():
        print(done.stdout[-2_000:], done.stderr[-2_000:], file=sys.stderr)
        return done.returncode, {}
    found = json.loads(report.read_text(encoding="utf-8"))
    if done.returncode:
        print(done.stdout[-4_000:], file=sys.stderr)
    return done.returncode, {
        item["id"]: item["verdict"] for item in found["checks"] if item["verdict"] != LEFT_OUT
    }


@contextmanager
def _spinning() -> Iterator[None]:
    """A process for each core that does nothing but compute until the block, or this process, ends."""
    with ExitStack() as stack:
        for _ in range(os.cpu_count() or 1):
            process = stack.enter_context(subprocess.Popen([sys.executable, "-c", SPIN]))
            stack.callback(process.kill)
        yield
