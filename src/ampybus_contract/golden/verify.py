"""Compare golden files with what a rebuild gives, and their verdicts with what they stand for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from ampybus_contract.contract import Contract
from ampybus_contract.envelope.fixture import read_fixture
from ampybus_contract.errors import AmpyBusError, SpecError
from ampybus_contract.golden.build import derived_files, golden_files, rebuilt
from ampybus_contract.validation import validate


def differences(directory: Path, contract: Contract) -> Iterator[str]:
    """One sentence for each file that a rebuild would change and each verdict that is not expected."""
    try:
        content = rebuilt(directory, contract)
    except SpecError as error:
        yield str(error)
        return
    except (AmpyBusError, ValueError) as error:
        yield f"a golden is unreadable: {error}"
        return
    here = derived_files(directory)
    for path in sorted({*content, *here}):
        name = path.relative_to(directory).as_posix()
        if path not in content:
            yield f"{name}: belongs to no golden. Fix: remove it, or add a case"
        elif not path.exists():
            yield f"{name}: missing. Fix: ampybus golden build"
        elif path.read_bytes() != content[path]:
            yield f"{name}: differs from what it is built from. Fix: ampybus golden build"
    for path in golden_files(directory):
        yield from _verdict(path, path.relative_to(directory).as_posix(), contract)


def _verdict(path: Path, name: str, contract: Contract) -> Iterator[str]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        fixture = read_fixture(value, contract)
    except (AmpyBusError, ValueError) as error:
        yield f"{name}: unreadable: {error}"
        return
    found = {item.requirement for item in validate(fixture.envelope, contract)}
    expected = set(value.get("expect", []))
    if found != expected:
        yield f"{name}: expected {_words(expected)}, got {_words(found)}. Fix: the golden or the spec"


def _words(requirements: set[str]) -> str:
    return ", ".join(sorted(requirements)) or "no finding"
