"""Read fixtures from paths, bounded in memory, and judge each."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ampybus_contract.contract import Contract
from ampybus_contract.envelope import read_fixture
from ampybus_contract.errors import AmpyBusError
from ampybus_contract.validation import Finding, validate

MAX_DOCUMENT_BYTES = 16 * 1024 * 1024


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


def judge_path(name: str, contract: Contract) -> Iterator[Verdict]:
    """Judge standard input (``-``, JSON lines), a file, or all .json and .jsonl files below a directory."""
    if name == "-":
        yield from _lines("<stdin>", sys.stdin.buffer, contract)
        return
    path = Path(name)
    if path.is_dir():
        for inner in sorted(path.rglob("*")):
            if inner.suffix in (".json", ".jsonl", ".ndjson") and inner.is_file():
                yield from _file(inner, contract)
    else:
        yield from _file(path, contract)


def _file(path: Path, contract: Contract) -> Iterator[Verdict]:
    try:
        with path.open("rb") as stream:
            if path.suffix in (".jsonl", ".ndjson"):
                yield from _lines(str(path), stream, contract)
            else:
                yield _document(str(path), 1, False, stream.read(MAX_DOCUMENT_BYTES + 1), contract)
    except OSError as error:
        yield Verdict(str(path), 1, False, error=f"expected a readable file, got {error.strerror}")


def _lines(name: str, stream: BinaryIO, contract: Contract) -> Iterator[Verdict]:
    number = 0
    while raw := stream.readline(MAX_DOCUMENT_BYTES + 1):
        number += 1
        if raw.strip():
            yield _document(name, number, True, raw, contract)
        while len(raw) > MAX_DOCUMENT_BYTES and not raw.endswith(b"\n"):
            raw = stream.readline(MAX_DOCUMENT_BYTES + 1)


def _document(path: str, line: int, numbered: bool, raw: bytes, contract: Contract) -> Verdict:
    if len(raw) > MAX_DOCUMENT_BYTES:
        reason = f"expected at most {MAX_DOCUMENT_BYTES} bytes for one envelope, got more"
        return Verdict(path, line, numbered, error=reason)
    try:
        fixture = read_fixture(json.loads(raw), contract)
        found = validate(fixture.envelope, contract, payload_known=fixture.has_payload)
    except (ValueError, RecursionError) as error:
        reason = f"expected JSON in UTF-8, got {str(error)[:200] or 'too deep a nesting'}"
        return Verdict(path, line, numbered, error=reason)
    except AmpyBusError as error:
        return Verdict(path, line, numbered, error=str(error)[:500])
    return Verdict(path, line, numbered, tuple(found))
