"""Read fixtures from paths, bounded in memory, and judge each."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ampybus_contract.contract import Contract
from ampybus_contract.envelope import read_fixture
from ampybus_contract.errors import AmpyBusError
from ampybus_contract.validation import Finding, validator

MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
BYTES_IN_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Verdict:
    """One judged envelope, or the reason why there is none; ``line`` is 1-based."""

    path: str
    line: int
    numbered: bool
    findings: tuple[Finding, ...] = ()
    error: str | None = None

    @property
    def file(self) -> str:
        """The place as a person names it."""
        return f"{self.path}:{self.line}" if self.numbered else self.path

    @property
    def valid(self) -> bool:
        """Readable and no MUST broken."""
        return self.error is None and all(item.level != "MUST" for item in self.findings)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of one file as it was read, whole lines where ``numbered``, which begin at ``first_line``.

    ``last_byte`` is how far the file was read.
    """

    path: str
    numbered: bool
    first_line: int
    data: bytes
    last_byte: int

    def documents(self) -> Iterator[tuple[int, bytes]]:
        """The documents with their line numbers; blank lines are none."""
        lines = self.data.split(b"\n") if self.numbered else [self.data]
        for number, line in enumerate(lines, self.first_line):
            if not self.numbered or (line and not line.isspace()):
                yield number, line


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found in a chunk: the verdicts to show, and how many clean envelopes are only counted."""

    verdicts: tuple[Verdict, ...]
    unlisted: int
    last_byte: int


def read_paths(names: list[str]) -> Iterator[Chunk | Verdict]:
    """The documents of standard input (``-``, JSON lines), files, and .json and .jsonl files in directories.

    A Verdict stands for a file that cannot be read.
    """
    for name in names:
        path = Path(name)
        if name == "-":
            yield from _lines("<stdin>", sys.stdin.buffer, 0)
        elif path.is_dir():
            for inner in sorted(path.rglob("*")):
                if inner.suffix in (".json", ".jsonl", ".ndjson") and inner.is_file():
                    yield from _file(inner)
        else:
            yield from _file(path)


def judge_chunk(
    chunk: Chunk, contract: Contract, listed: int | None = None, headers_only: bool = False
) -> Judged:
    """Judge every document; of the clean ones, list the first ``listed`` (None: all) and count the rest."""
    judge = _judge(contract, headers_only)
    verdicts: list[Verdict] = []
    unlisted = 0
    for line, raw in chunk.documents():
        found = judge(raw)
        if found:
            error = found if isinstance(found, str) else None
            findings = () if isinstance(found, str) else tuple(found)
            verdicts.append(Verdict(chunk.path, line, chunk.numbered, findings, error))
        elif listed is None or len(verdicts) < listed:
            verdicts.append(Verdict(chunk.path, line, chunk.numbered))
        else:
            unlisted += 1
    return Judged(tuple(verdicts), unlisted, chunk.last_byte)


def _judge(contract: Contract, headers_only: bool) -> Callable[[bytes], list[Finding] | str]:
    """What gives the findings of one document, or the reason why it is no envelope."""
    decode = json.JSONDecoder().decode
    own = validator(contract)

    def judge(raw: bytes) -> list[Finding] | str:
        if len(raw) > MAX_DOCUMENT_BYTES:
            return f"expected at most {MAX_DOCUMENT_BYTES} bytes for one envelope, got more"
        try:
            fixture = read_fixture(decode(raw.decode()), contract, headers_only=headers_only)
            return own.findings(fixture.envelope, payload_known=fixture.has_payload)
        except (ValueError, RecursionError) as error:
            return f"expected JSON in UTF-8, got {str(error)[:200] or 'too deep a nesting'}"
        except AmpyBusError as error:
            return str(error)[:500]

    return judge


def _file(path: Path) -> Iterator[Chunk | Verdict]:
    try:
        with path.open("rb") as stream:
            if path.suffix in (".jsonl", ".ndjson"):
                yield from _lines(str(path), stream, BYTES_IN_CHUNK)
            else:
                yield Chunk(str(path), False, 1, stream.read(MAX_DOCUMENT_BYTES + 1), stream.tell())
    except OSError as error:
        yield Verdict(str(path), 1, False, error=f"expected a readable file, got {error.strerror}")


def _lines(name: str, stream: BinaryIO, size: int) -> Iterator[Chunk]:
    """Chunks of ``size`` bytes up to the end of a line; of single lines for 0, each judged when it comes.

    Of a line that is too long only so much is kept that it shows.
    """
    number, done = 1, 0
    while True:
        block = stream.read(size)
        end = b"" if block.endswith(b"\n") else stream.readline(MAX_DOCUMENT_BYTES + 1)
        data = block + end
        if not data:
            return
        done += len(data)
        while len(end) > MAX_DOCUMENT_BYTES and not end.endswith(b"\n"):
            end = stream.readline(MAX_DOCUMENT_BYTES + 1)
            done += len(end)
        yield Chunk(name, True, number, data, done)
        number += data.count(b"\n") + (not data.endswith(b"\n"))
