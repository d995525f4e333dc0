"""Histories as files: JSON lines, a head and then one event a line, as ``schema/history.schema.json`` says.

An envelope is written in full where it first occurs; later lines name it by its hashes.
"""

from __future__ import annotations

import base64
import binascii
import gc
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from sys import intern
from typing import IO, Any, NoReturn

from ampybus_contract.envelope import Envelope, Headers
from ampybus_contract.envelope.digest import sha256_of
from ampybus_contract.errors import HeaderError, HistoryError
from ampybus_contract.harness.history import UNKNOWN, Event, HashedPayload, Operation, Outcome

FORMAT = 1
KIND = "ampybus-history"
LONGEST_LINE = 64 * 1024 * 1024
_EMPTY = Headers({})
_OPERATIONS = {str(item): item for item in Operation}
_OUTCOMES = {str(item): item for item in Outcome}
_NEEDED = {"at", "actor", "operation", "outcome"}
_TEXTS = "actor operation outcome topic key id pattern error said header_hash body_hash body"
_TYPES: dict[str, type] = {
    **dict.fromkeys(_TEXTS.split(), str),
    **dict.fromkeys(("at", "attempt", "position", "due", "count", "body_bytes"), int),
    "headers": dict,
}
_OPTIONAL = (
    *((name, "") for name in ("pattern", "error", "said")),
    ("count", 0),
    *((name, UNKNOWN) for name in ("position", "due")),
)
_WORDS: dict[type, str] = {str: "a text", int: "a whole number", dict: "an object"}


@dataclass(frozen=True, slots=True)
class Head:
    """What the first line says: which check was played, if any, and what decides what is legal.

    ``check`` is empty for a recording of anything else. ``claims`` are the capabilities that the binding
    claimed, ``levers`` those of the broker, ``settings`` its configuration.
    """

    contract: str
    check: str = ""
    binding: str = ""
    broker: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    claims: tuple[str, ...] = ()
    seed: int = 0


def write_history(stream: IO[str], head: Head, events: Iterable[Event]) -> None:
    """Write head and events, each as one line."""
    rows: list[Mapping[str, Any]] = [
        {
            "kind": KIND,
            "format": FORMAT,
            "contract": head.contract,
            "check": head.check,
            "binding": head.binding,
            "broker": head.broker,
            "settings": dict(head.settings),
            "claims": list(head.claims),
            "seed": head.seed,
        }
    ]
    stream.write(json.dumps(rows[0]) + "\n")
    known: set[str] = set()
    for event in events:
        stream.write(json.dumps(_row(event, known)) + "\n")


def _row(event: Event, known: set[str]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "at": event.at,
        "actor": event.actor,
        "operation": str(event.operation),
        "outcome": str(event.outcome),
    }
    if event.envelope.topic or event.envelope.headers or event.envelope.payload:
        row |= _envelope(event, known)
    for name, empty in _OPTIONAL:
        value = getattr(event, name)
        if value != empty:
            row[name] = value
    if event.attempt != 1:
        row["attempt"] = event.attempt
    return row


def _envelope(event: Event, known: set[str]) -> dict[str, Any]:
    headers, payload = dict(event.envelope.headers), event.envelope.payload
    header_hash = sha256_of(json.dumps(headers, sort_keys=True).encode())
    hashed = isinstance(payload, HashedPayload)
    body_hash = bytes(payload).decode() if hashed else sha256_of(payload)
    row: dict[str, Any] = {
        "topic": event.topic,
        "key": event.key,
        "id": event.id,
        "header_hash": header_hash,
        "body_hash": body_hash,
        "body_bytes": len(payload),
    }
    if header_hash not in known:
        row["headers"] = headers
    if body_hash not in known and not hashed:
        row["body"] = base64.b64encode(payload).decode()
    known |= {header_hash, body_hash}
    return row


def read_history(stream: Iterable[bytes], name: str) -> tuple[Head, list[Event]]:
    """Read a whole history. Raises HistoryError, with ``name`` and the line, for the first bad line.

    While it reads, no garbage is collected: nothing of what is read is any, and looking takes long.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _Reader(name).read(iter(stream))
    finally:
        if collecting:
            gc.enable()


class _Reader:
    def __init__(self, name: str) -> None:
        self.name = name
        self.line = 0
        self.headers: dict[str, Headers] = {}
        self.bodies: dict[str, bytes] = {}
        self.envelopes: dict[tuple[str, str, str], Envelope] = {}

    def read(self, lines: Iterator[bytes]) -> tuple[Head, list[Event]]:
        first = next(lines, None)
        if first is None:
            self.line = 1
            self.fails("a first line that says what was recorded", "an empty file", "record a history")
        head = self.head(self.row(first))
        return head, [self.event(self.row(line)) for line in lines if line.strip() or self.blank()]

    def blank(self) -> bool:
        self.line += 1
        return False

    def fails(self, expected: str, got: str, fix: str) -> NoReturn:
        raise HistoryError(
            f"HISTORY expected {expected}, got {got} at {self.name}:{self.line}. Fix: {fix}"
        ) from None

    def row(self, line: bytes) -> dict[str, Any]:
        self.line += 1
        if len(line) > LONGEST_LINE:
            self.fails(
                f"a line of at most {LONGEST_LINE} bytes", f"{len(line)} bytes", "record bodies as hashes"
            )
        try:
            text = line.decode().strip()
            row, end = _DECODER.raw_decode(text)
            if end != len(text):
                raise ValueError("more than one value")
        except (ValueError, RecursionError) as error:
            cut = "" if line.endswith(b"\n") else ", and no line end: the recording was cut off"
            self.fails(
                "a JSON object", f"{type(error).__name__}: {str(error)[:80]}{cut}", "mend or remove the line"
            )
        if not isinstance(row, dict):
            self.fails("a JSON object", type(row).__name__, "write one object a line")
        return row

    def head(self, row: dict[str, Any]) -> Head:
        if row.get("kind") != KIND or row.get("format") != FORMAT:
            got = f"kind {row.get('kind')!r}, format {row.get('format')!r}"[:120]
            fix = "name a history that was recorded with --ampybus-history, or write that head"
            self.fails(f"kind {KIND!r}, format {FORMAT}", got, fix)
        texts = {name: row.get(name, "") for name in ("contract", "check", "binding", "broker")}
        settings, claims, seed = row.get("settings", {}), row.get("claims", []), row.get("seed", 0)
        if not (
            all(isinstance(value, str) for value in texts.values())
            and isinstance(settings, dict)
            and all(isinstance(value, str) for value in settings.values())
            and isinstance(claims, list)
            and all(isinstance(value, str) for value in claims)
            and isinstance(seed, int)
        ):
            self.fails("a head as the schema says", "another shape", "see history.schema.json")
        return Head(**texts, settings=settings, claims=tuple(claims), seed=seed)

    def event(self, row: dict[str, Any]) -> Event:
        self.shape(row)
        envelope = self.envelope(row) if "header_hash" in row else _NOTHING
        return Event(
            row["at"],
            intern(row["actor"]),
            _OPERATIONS[row["operation"]],
            _OUTCOMES[row["outcome"]],
            envelope,
            row.get("attempt", 1),
            intern(row.get("pattern", "")),
            row.get("error", ""),
            row.get("count", 0),
            row.get("said", ""),
            row.get("position", UNKNOWN),
            row.get("due", UNKNOWN),
        )

    def shape(self, row: dict[str, Any]) -> None:
        names = row.keys()
        if not names >= _NEEDED:
            gone = ", ".join(sorted(_NEEDED - names))
            self.fails(f"the fields {', '.join(sorted(_NEEDED))}", f"no {gone}", "write them")
        for name, value in row.items():
            if type(value) is not _TYPES.get(name):
                self.mistyped(name, value)
        for name, known in (("operation", _OPERATIONS), ("outcome", _OUTCOMES)):
            if row[name] not in known:
                self.fails(f"{name} one of {', '.join(known)}", repr(row[name])[:80], "write one of these")

    def mistyped(self, name: str, value: Any) -> NoReturn:
        wanted = _TYPES.get(name)
        if wanted is None:
            self.fails("fields of the schema", repr(name)[:80], "remove the field")
        self.fails(f"{_WORDS[wanted]} in {name!r}", type(value).__name__, "write what the schema says")

    def envelope(self, row: dict[str, Any]) -> Envelope:
        header_hash, body_hash = row["header_hash"], row.get("body_hash", "")
        topic = row.get("topic", "")
        found = self.envelopes.get((topic, header_hash, body_hash))
        if found is not None and "headers" not in row:
            return found
        headers = self.of_headers(header_hash, row.get("headers"))
        found = Envelope(intern(topic), headers, self.body(body_hash, row))
        self.envelopes[topic, header_hash, body_hash] = found
        return found

    def of_headers(self, digest: str, given: Any) -> Headers:
        if given is not None:
            try:
                self.headers[digest] = Headers({intern(name): value for name, value in given.items()})
            except HeaderError as error:
                self.fails("headers as texts by name", str(error)[:120], "write an object of strings")
        known = self.headers.get(digest)
        if known is None:
            fix = "write the headers in full where their hash first occurs"
            self.fails("a header_hash that was given in full before", repr(digest)[:90], fix)
        return known

    def body(self, digest: str, row: dict[str, Any]) -> bytes:
        given = row.get("body")
        if given is not None:
            self.bodies[digest] = self.given(digest, given)
        known = self.bodies.get(digest)
        if known is None:
            known = self.bodies[digest] = HashedPayload(digest, row.get("body_bytes", 0)) if digest else b""
        return known

    def given(self, digest: str, text: Any) -> bytes:
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError, TypeError):
            self.fails("a body as base64", repr(text)[:80], "write base64, or the hash alone")
        if sha256_of(data) != digest:
            self.fails(
                f"a body with the hash {digest!r:.90}",
                sha256_of(data),
                "the recording was altered: make it anew",
            )
        if self.bodies.get(digest, data) != data:
            fix = "write the body where its hash first occurs, or never"
            self.fails("a body that was not needed before", "one that came late", fix)
        return data


_NOTHING = Envelope("", _EMPTY, b"")


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


_DECODER = json.JSONDecoder(parse_constant=_no_number)
