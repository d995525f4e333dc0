"""``ampybus spec diff OLD NEW``: what changed between two versions of the contract, and whom it breaks."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from ampybus_contract.contract.evolution import Comparison, compare, spec_at
from ampybus_contract.exit_codes import CONFORMANT, FINDINGS


def add(actions: Any) -> None:
    """Declare the command's arguments."""
    parser = actions.add_parser("diff", help="compare two versions of the contract")
    for name in ("old", "new"):
        words = "a directory, 'shipped', or a git revision such as v1.0.0 or HEAD~3"
        parser.add_argument(name, metavar=name.upper(), help=words)
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print every change; exit code 1 where the version says less than the changes ask for.

    So does a payload that changes on topics that stay, for which no version is enough.
    """
    with spec_at(options.old) as old, spec_at(options.new) as new:
        found = compare(old, new)
    if options.format == "json":
        print(json.dumps({**asdict(found), "sufficient": found.sufficient}))
    else:
        _text(found)
    return CONFORMANT if found.sufficient else FINDINGS


def _text(found: Comparison) -> None:
    for change in sorted(found.changes, key=lambda change: (not change.breaks, change.wording)):
        whom = "compatible" if not change.breaks else f"BREAKS {', '.join(change.breaks)}"
        place = f" ({change.place})" if change.place else ""
        print(f"{'wording' if change.wording else whom}: {change.path}{place}")
        if not change.wording:
            print(f"    {change.meaning}")
            print(f"    {_short(change.old)} -> {_short(change.new)}")
    breaking = sum(bool(change.breaks) for change in found.changes)
    words = sum(change.wording for change in found.changes)
    print(f"{len(found.changes)} changes: {breaking} breaking, {words} of wording alone")
    for change in found.moved_payloads:
        print(f"NOT ENOUGH: {change.path} changes a payload on topics that stay.")
        print("    Leave it as it was, and add the change as a type of the next major, on topics of its own.")
    made = f"{found.old_version} -> {found.new_version}"
    verdict = "enough" if found.sufficient else "NOT ENOUGH"
    print(f"version {made}: bump made: {found.made}; the changes ask for: {found.asked}; {verdict}")


def _short(value: Any) -> str:
    if value is None:
        return "(absent)"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else f"{text[:97]}..."
