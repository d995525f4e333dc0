"""A session file that a binding wrote, as the harness reads it, and what a stranger does to it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ampybus_contract.envelope import Envelope, Headers
from ampybus_contract.errors import BindingCrashError, HeaderError

Row = dict[str, Any]


class Session:
    """The lines of a file, the head first; ``done`` is what was done to it: a damage and a number each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done: list[tuple[str, int]] = []

    def records(self) -> Iterator[tuple[int, Envelope, str]]:
        """Number, envelope and payload hash of each record. Raises BindingCrashError for another format."""
        try:
            for row in self._rows()[1:]:
                payload = base64.b64decode(row["payload"], validate=True)
                envelope = Envelope(str(row["topic"]), Headers(row["headers"]), payload)
                yield int(row["number"]), envelope, str(row["payload_hash"])
        except (KeyError, TypeError, ValueError, HeaderError) as error:
            raise BindingCrashError(
                f"BINDING expected a session as session.schema.json says, got {error!r}. Fix: write it so"
            ) from error

    def turn(self, number: int) -> None:
        """Change a byte of a payload, and nothing else."""

        def turned(row: Row) -> None:
            payload = bytearray(base64.b64decode(row["payload"]))
            if not payload:
                raise BindingCrashError(f"BINDING expected a payload in record {number}. Fix: keep it")
            payload[-1] ^= 1
            row["payload"] = base64.b64encode(payload).decode()

        self._change(number, turned)

    def rename(self, number: int, header: str) -> None:
        """Change a character of a header's value, and nothing else."""

        def renamed(row: Row) -> None:
            value = str(row["headers"].get(header, ""))
            if not value:
                raise BindingCrashError(
                    f"BINDING expected the header {header} in record {number}. Fix: keep all headers"
                )
            row["headers"][header] = ("x" if value[0] != "x" else "y") + value[1:]

        self._change(number, renamed)

    def drop(self, number: int) -> None:
        """Take a record out."""
        self._write([row for row in self._rows() if row.get("number") != number])
        self.done.append(("missing", number))

    def double(self, number: int) -> None:
        """Put a record in again, at the end."""
        rows = self._rows()
        self._write([*rows, *(row for row in rows if row.get("number") == number)])
        self.done.append(("doubled", number))

    def _change(self, number: int, change: Callable[[Row], None]) -> None:
        rows = self._rows()
        for row in rows:
            if row.get("number") == number:
                change(row)
        self._write(rows)
        self.done.append(("tampered", number))

    def _rows(self) -> list[Row]:
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise BindingCrashError(f"BINDING expected a session file, got {error}. Fix: write it") from error
        return [json.loads(line) for line in lines]

    def _write(self, rows: list[Row]) -> None:
        self.path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
