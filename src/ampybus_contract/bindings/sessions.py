"""Session files: what was stored, kept so that an auditor can rebuild it and see what was done to it (D37).

A head and then one record a line, as ``schema/session.schema.json`` says. Records are numbered from 1; each
has the hash of its decoded payload, and a seal over everything that it says.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.envelope.digest import decoded_digest, sha256_of
from ampybus_contract.errors import HistoryError

KIND = "ampybus-session"
FORMAT = 1


class Damage(StrEnum):
    """What can be wrong with a record of a session."""

    TAMPERED = "tampered"
    MISSING = "missing"
    DOUBLED = "doubled"


class Damaged(NamedTuple):
    """A record that is not as it was captured, by its number."""

    damage: str
    number: int


def write_session(path: Path, pattern: str, envelopes: Iterable[Envelope], contract: Contract) -> None:
    """Write what was stored under a pattern, in stored order."""
    rows = [record(number, item, contract) for number, item in enumerate(envelopes, 1)]
    head = {"kind": KIND, "format": FORMAT, "pattern": pattern, "records": len(rows)}
    path.write_text("".join(json.dumps(row) + "\n" for row in (head, *rows)), encoding="utf-8")


def record(number: int, envelope: Envelope, contract: Contract) -> dict[str, Any]:
    """One line of a session."""
    row = {
        "number": number,
        "topic": envelope.topic,
        "headers": dict(envelope.headers),
        "payload": base64.b64encode(envelope.payload).decode(),
        "payload_hash": decoded_digest(envelope, contract),
    }
    return row | {"seal": seal(row)}


def seal(row: Mapping[str, Any]) -> str:
    """A hash over all that a record says: its members as lines, headers as ``name: value`` by name."""
    headers = [f"{name}: {value}" for name, value in sorted(row["headers"].items())]
    lines = [str(row["number"]), row["topic"], *headers, row["payload"], row["payload_hash"]]
    return sha256_of("\n".join(lines).encode())


def damages(path: Path) -> list[Damaged]:
    """What is wrong with a session, by number. Raises HistoryError where the file is no session."""
    head, rows = _read(path)
    counts = Counter(row["number"] for row in rows)
    return sorted(
        {
            *(Damaged(Damage.TAMPERED, row["number"]) for row in rows if row["seal"] != seal(row)),
            *(Damaged(Damage.MISSING, n) for n in range(1, head["records"] + 1) if not counts[n]),
            *(Damaged(Damage.DOUBLED, number) for number, count in counts.items() if count > 1),
        }
    )


def _read(path: Path) -> tuple[Mapping[str, Any], list[Mapping[str, Any]]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        head, *rows = [json.loads(line) for line in lines]
        if head["kind"] != KIND or head["format"] != FORMAT or not isinstance(head["records"], int):
            raise ValueError("no head")
        return head, list(_whole(rows))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HistoryError(
            f"SESSION expected a session file, got {path.name}: {error!r}. Fix: capture one"
        ) from error


def _whole(rows: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for row in rows:
        if not isinstance(row["number"], int) or not isinstance(row["seal"], str):
            raise TypeError(f"no record: {row}")
        yield row
