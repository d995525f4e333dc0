"""Golden envelopes: rebuild what is derived from them, and judge them against what they stand for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ampybus_contract.contract import Contract
from ampybus_contract.envelope.fixture import read_fixture, readable_payload
from ampybus_contract.errors import AmpyBusError
from ampybus_contract.validation import validate


def golden_files(directory: Path) -> list[Path]:
    """The envelopes below a golden directory, in a fixed order."""
    return sorted(path for kind in ("valid", "invalid") for path in directory.glob(f"*/{kind}/*.json"))


def build(directory: Path, contract: Contract) -> int:
    """Write the wire bytes beside each golden with a readable payload; gives the number written."""
    written = 0
    for path in golden_files(directory):
        wire = _wire(_read(path), contract)
        if wire is not None:
            path.with_suffix(".wire").write_bytes(wire)
            written += 1
    return written


def differences(directory: Path, contract: Contract) -> Iterator[str]:
    """One sentence for each wire file that differs and each verdict that is not the expected one."""
    known: set[Path] = set()
    for path in golden_files(directory):
        name = path.relative_to(directory).as_posix()
        try:
            value = _read(path)
            wire = _wire(value, contract)
            fixture = read_fixture(value, contract)
        except (AmpyBusError, ValueError) as error:
            yield f"{name}: unreadable: {error}"
            continue
        beside = path.with_suffix(".wire")
        if wire is not None:
            known.add(beside)
            if not beside.exists() or beside.read_bytes() != wire:
                yield f"{name}: the .wire file differs from the payload. Fix: ampybus golden build"
        found = {item.requirement for item in validate(fixture.envelope, contract)}
        expected = set(value.get("expect", []))
        if found != expected:
            yield f"{name}: expected {_words(expected)}, got {_words(found)}. Fix: the golden or the spec"
        if path.parent.name == "invalid" and not expected:
            yield f"{name}: an invalid golden names no requirement. Fix: add 'expect'"
    for left in sorted(set(directory.glob("*/*/*.wire")) - known):
        yield f"{left.relative_to(directory).as_posix()}: belongs to no golden. Fix: remove it"


def _read(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value


def _wire(value: dict[str, Any], contract: Contract) -> bytes | None:
    return readable_payload(value, contract) if "payload" in value else None


def _words(requirements: set[str]) -> str:
    return ", ".join(sorted(requirements)) or "no finding"
