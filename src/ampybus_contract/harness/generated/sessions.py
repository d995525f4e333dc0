"""Faults of sessions: of what is captured, and of what an audit names (D37)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.sessions import Damage, seal
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope, Headers
from ampybus_contract.envelope.digest import sha256_of
from ampybus_contract.harness.generated.fault import MESSAGE, NOTHING, Fault, Strike

CHAPTER = "Audit"
Method = Callable[..., Any]
Row = dict[str, Any]
AT_MOST = (10, 100)


def faults(contract: Contract) -> Iterator[Fault]:
    """Every fault of sessions."""
    for operator, subject, says, change in _rows(contract):
        yield Fault("session", operator, subject, says, CHAPTER, MESSAGE, partial(_captured, change))
    for count in AT_MOST:
        said = f"captures {count} records at most"
        yield Fault("session", "cut", f"records.{count}", said, CHAPTER, NOTHING, partial(_first, count))
    said = "captures records from the newest on"
    yield Fault("session", "reorder", "records", said, CHAPTER, NOTHING, _reversed)
    said = "captures what is outside the pattern"
    yield Fault("session", "ignore", "pattern", said, CHAPTER, NOTHING, _whole_domain)
    for damage in Damage:
        said = f"does not name what is {damage}"
        yield Fault("session", "drop", f"damage.{damage}", said, CHAPTER, NOTHING, partial(_unnamed, damage))
        said = f"names the record behind the one that is {damage}"
        yield Fault(
            "session", "alter", f"damage.{damage}.number", said, CHAPTER, NOTHING, partial(_beside, damage)
        )
        for other in Damage:
            if other is not damage:
                said = f"calls what is {damage} {other}"
                install = partial(_called, damage, other)
                yield Fault("session", "swap", f"damage.{damage}.{other}", said, CHAPTER, NOTHING, install)
    said = "names the first damage only"
    yield Fault("session", "cut", "damages", said, CHAPTER, NOTHING, _first_damage)
    said = "finds damage in a whole session"
    yield Fault("session", "ignore", "whole", said, CHAPTER, NOTHING, _always_damage)


def _rows(contract: Contract) -> Iterator[tuple[str, str, str, Callable[[Row], Row | None]]]:
    yield "drop", "record", "leaves a record out", lambda row: None
    yield "drop", "payload", "captures no payload", lambda row: row | {"payload": ""}
    yield "drop", "hash", "captures no hash", lambda row: row | {"payload_hash": ""}
    yield (
        "alter",
        "hash",
        "hashes what was sent",
        lambda row: row | {"payload_hash": sha256_of(row["payload"].encode())},
    )
    yield (
        "cut",
        "topic",
        "captures families of topics",
        lambda row: row | {"topic": ".".join(row["topic"].split(".")[:4])},
    )
    said = "captures headers that the contract knows"
    known = frozenset(contract.headers)
    yield "drop", "unknown", said, partial(_headers, lambda name: name in known)
    for name in contract.headers:
        yield (
            "drop",
            f"header.{name}",
            f"captures no {name}",
            partial(_headers, partial(str.__ne__, name)),
        )
    yield (
        "alter",
        "number",
        "gives two records one number",
        lambda row: row | {"number": max(1, row["number"] - 1)},
    )


def _headers(kept: Callable[[str], bool], row: Row) -> Row:
    return row | {"headers": {name: text for name, text in row["headers"].items() if kept(name)}}


def on_capture(strike: Strike, binding: ReferenceBinding, change: Callable[[list[Row]], list[Row]]) -> None:
    """Have the records of each session changed, sealed again and counted again."""

    async def capture(method: Method, pattern: str, session: Path) -> None:
        await method(pattern, session)
        lines = session.read_text(encoding="utf-8").splitlines()
        head, *rows = [json.loads(line) for line in lines]
        found = change(rows)
        rows = [row | {"seal": seal(row)} for row in found]
        text = "".join(f"{json.dumps(row)}\n" for row in (head | {"records": len(rows)}, *rows))
        session.write_text(text, encoding="utf-8")

    strike.around(binding, "capture", capture)


def _captured(change: Callable[[Row], Row | None], strike: Strike, binding: ReferenceBinding) -> None:
    def changed(rows: list[Row]) -> list[Row]:
        found = (change(row) if strike(_envelope(row)) else row for row in rows)
        return [row for row in found if row is not None]

    on_capture(strike, binding, changed)


def _envelope(row: Row) -> Envelope:
    return Envelope(row["topic"], Headers(row["headers"]), row["payload"].encode())


def _first(count: int, strike: Strike, binding: ReferenceBinding) -> None:
    on_capture(strike, binding, lambda rows: rows[:count] if strike() else rows)


def _reversed(strike: Strike, binding: ReferenceBinding) -> None:
    on_capture(strike, binding, lambda rows: rows[::-1] if strike() else rows)


def _whole_domain(strike: Strike, binding: ReferenceBinding) -> None:
    async def capture(method: Method, pattern: str, session: Path) -> None:
        wide = ".".join([*pattern.split(".")[:2], ">"])
        await method(wide if strike() else pattern, session)

    strike.around(binding, "capture", capture)


def _on_audit(strike: Strike, binding: ReferenceBinding, change: Callable[[list[Any]], list[Any]]) -> None:
    async def audit(method: Method, session: Path) -> Any:
        found = list(await method(session))
        return change(found) if strike() else found

    strike.around(binding, "audit", audit)


def _unnamed(damage: Damage, strike: Strike, binding: ReferenceBinding) -> None:
    _on_audit(strike, binding, lambda found: [item for item in found if item[0] != damage])


def _beside(damage: Damage, strike: Strike, binding: ReferenceBinding) -> None:
    _on_audit(strike, binding, lambda found: [(name, n + (name == damage)) for name, n in found])


def _called(damage: Damage, other: Damage, strike: Strike, binding: ReferenceBinding) -> None:
    _on_audit(strike, binding, lambda found: [(other if name == damage else name, n) for name, n in found])


def _first_damage(strike: Strike, binding: ReferenceBinding) -> None:
    _on_audit(strike, binding, lambda found: found[:1])


def _always_damage(strike: Strike, binding: ReferenceBinding) -> None:
    _on_audit(strike, binding, lambda found: found or [(Damage.TAMPERED, 1)])
