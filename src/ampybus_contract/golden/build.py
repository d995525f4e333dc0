"""Rebuild everything below a golden directory that is derived: departures, wire bytes, layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ampybus_contract.contract import Contract
from ampybus_contract.envelope.fixture import readable_payload
from ampybus_contract.golden.cases import CASES, cases


def golden_files(directory: Path) -> list[Path]:
    """The envelopes below a golden directory, in a fixed order."""
    return sorted(path for kind in ("valid", "invalid") for path in directory.glob(f"*/{kind}/*.json"))


def rebuilt(directory: Path, contract: Contract) -> dict[Path, bytes]:
    """The right content of every file below the golden domains, by path; nothing is written.

    An envelope in ``valid/`` that no case makes is kept by hand: it is only laid out anew. Raises SpecError
    for a broken ``cases.yaml``, ValueError for JSON that does not parse, DecodeError where a payload does
    not fit its type.
    """
    made = {case.path: case.value for file in sorted(directory.glob(f"*/{CASES}"))
            for case in cases(file.parent, contract)}  # fmt: skip
    values = {path: _read(path) for path in directory.glob("*/valid/*.json") if path not in made} | made
    content: dict[Path, bytes] = {}
    for path, value in sorted(values.items()):
        content[path] = (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
        if "payload" in value:
            content[path.with_suffix(".wire")] = readable_payload(value, contract)
    return content


def build(directory: Path, contract: Contract) -> int:
    """Write every derived file, remove what belongs to no golden, and give the number of files."""
    content = rebuilt(directory, contract)
    for path in derived_files(directory):
        if path not in content:
            path.unlink()
    for path, data in content.items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    return len(content)


def derived_files(directory: Path) -> list[Path]:
    """Every envelope and wire file that lies below a golden directory, in a fixed order."""
    return sorted({*golden_files(directory), *directory.glob("*/*/*.wire")})


def _read(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value
