"""Recorded histories to measure the checkers with, and what judging them costs as they grow."""

from __future__ import annotations

import gc
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from ampybus_contract.benchmark.traffic import envelopes
from ampybus_contract.contract import Contract, default_contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.checkers.catalogue import GENERAL
from ampybus_contract.harness.history import Event, Operation, Outcome
from ampybus_contract.harness.recording import Head, read_history, write_history

EVENTS_A_MESSAGE = 5
MEBIBYTE = 1024


def run_events(count: int, contract: Contract) -> Iterator[Event]:
    """About ``count`` events of a run: bars of 500 keys, each published, delivered, applied and stored."""
    pattern = f"{contract.topic.prefix}.>"
    nothing = Envelope("", next(envelopes(1, contract)).headers.with_(), b"")
    yield Event(0, "consumer", Operation.SUBSCRIBE, Outcome.OK, nothing, pattern=pattern)
    for number, envelope in enumerate(envelopes(count // EVENTS_A_MESSAGE, contract)):
        at = number * 10_000
        published = Event(at, "producer", Operation.PUBLISH, Outcome.INVOKE, envelope)
        yield published
        yield replace(published, at=at + 1000, outcome=Outcome.OK)
        delivered = Event(at + 2000, "consumer", Operation.DELIVER, Outcome.OK, envelope, pattern=pattern)
        yield delivered
        yield replace(delivered, at=at + 3000, operation=Operation.EFFECT)
        yield Event(at + 4000, "wire", Operation.STORE, Outcome.OK, envelope, position=number)


def growth(counts: list[int]) -> None:
    """Print, for each number of events, what reading and judging costs; each in a process of its own."""
    print(f"Judging recorded histories with {len(GENERAL)} checkers")
    print(f"{'events':>10}{'read s':>10}{'judge s':>10}{'us/event':>10}{'peak MiB':>10}")
    with TemporaryDirectory(prefix="ampybus-histories-") as directory:
        for count in counts:
            path = Path(directory, f"{count}.jsonl")
            contract = default_contract()
            with path.open("w", encoding="utf-8") as stream:
                write_history(stream, Head(contract.version), run_events(count, contract))
            code = f"from {__name__} import judged; judged({str(path)!r})"
            subprocess.run([sys.executable, "-c", code], check=True)


def judged(path: str) -> None:
    """Read and judge one recording, and print its line of the table."""
    contract = default_contract()
    claims = tuple({entry.claim for entry in GENERAL if entry.claim})
    start = time.perf_counter()
    with Path(path).open("rb") as stream:
        _, events = read_history(stream, path)
    gc.freeze()
    read = time.perf_counter()
    found = sum(len(entry.checker(events, contract)) for entry in GENERAL if entry.claim in ("", *claims))
    end = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MEBIBYTE
    each = (end - start) / len(events) * 1e6
    print(f"{len(events):10}{read - start:10.2f}{end - read:10.2f}{each:10.2f}{peak:10.0f}")
    if found:
        raise AssertionError(f"expected a good history, {found} anomalies were found")
