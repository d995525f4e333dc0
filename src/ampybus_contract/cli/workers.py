"""Judge chunks, here or in several processes; what was found comes in the order of the input."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future
from pathlib import Path

from ampybus_contract.cli.fixture_files import Chunk, Judged, Verdict, judge_chunk
from ampybus_contract.cli.worker_pool import worker_pool
from ampybus_contract.contract import Contract, default_contract, load_contract

CHUNKS_AHEAD = 4


def judge_all(
    chunks: Iterator[Chunk | Verdict], spec: Path | None, jobs: int, listed: int | None, headers_only: bool
) -> Generator[Judged, None, None]:
    """Judge with the spec in ``spec`` (None: the shipped one); at most a few chunks per job are in memory.

    The first chunk lists up to ``listed`` clean envelopes (None: every chunk all), later ones none.
    """
    if jobs == 1:
        contract = _contract(spec)
        for chunk, share in _shares(chunks, listed):
            if isinstance(chunk, Verdict):
                yield Judged((chunk,), 0, 0)
            else:
                yield judge_chunk(chunk, contract, share, headers_only)
    else:
        yield from _parallel(chunks, spec, jobs, listed, headers_only)


def _shares(
    chunks: Iterator[Chunk | Verdict], listed: int | None
) -> Iterator[tuple[Chunk | Verdict, int | None]]:
    left = listed
    for chunk in chunks:
        yield chunk, left
        if left is not None and isinstance(chunk, Chunk):
            left = max(0, left - chunk.data.count(b"\n") - 1)


def _parallel(
    chunks: Iterator[Chunk | Verdict], spec: Path | None, jobs: int, listed: int | None, headers_only: bool
) -> Iterator[Judged]:
    waiting: deque[Future[Judged]] = deque()
    pool = worker_pool(jobs, _start, spec)
    try:
        for chunk, share in _shares(chunks, listed):
            if isinstance(chunk, Verdict):
                waiting.append(_done(Judged((chunk,), 0, 0)))
            else:
                waiting.append(pool.submit(_work, chunk, share, headers_only))
            while len(waiting) >= jobs * CHUNKS_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _done(judged: Judged) -> Future[Judged]:
    future: Future[Judged] = Future()
    future.set_result(judged)
    return future


def _contract(spec: Path | None) -> Contract:
    return load_contract(spec) if spec else default_contract()


_own: list[Contract] = []


def _start(spec: Path | None) -> None:
    """Prepare a worker: the interrupt is for the parent, which ends its workers itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _own.append(_contract(spec))


def _work(chunk: Chunk, listed: int | None, headers_only: bool) -> Judged:
    return judge_chunk(chunk, _own[0], listed, headers_only)
