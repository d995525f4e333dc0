"""``ampybus check HISTORY…``: judge recorded histories with the checkers of the suites."""

from __future__ import annotations

import argparse
import gc
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from ampybus_contract.contract import default_contract, load_contract
from ampybus_contract.errors import HistoryError
from ampybus_contract.exit_codes import CONFORMANT, FINDINGS, INCONCLUSIVE, USAGE
from ampybus_contract.harness.history import Event
from ampybus_contract.harness.recording import Head, read_history
from ampybus_contract.harness.verdicts import Result, Verdict
from ampybus_contract.report.annotations import annotation, escape

SHOWN = 3


def add(commands: Any) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "check", help="judge histories that --ampybus-history recorded, or a capture of one's own"
    )
    parser.add_argument("histories", nargs="*", metavar="HISTORY", help=".jsonl file, or - for stdin")
    parser.add_argument("--format", choices=("text", "json", "github"), default="text")
    parser.add_argument("--spec", type=Path, default=None, help="judge by another spec directory")
    parser.add_argument(
        "--checkers", metavar="NAMES", default=None, help="these checkers only, separated by commas"
    )
    parser.add_argument("--list", action="store_true", help="say what each checker finds, as Markdown")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Judge all histories; one that cannot be read makes the exit code 2, the others are judged still."""
    try:
        from ampybus_contract.harness import offline  # noqa: PLC0415  needs an extra
        from ampybus_contract.harness.checkers.catalogue import described  # noqa: PLC0415  as above
    except ImportError as error:
        fix = "pip install 'ampybus-contract[conformance]'"
        raise HistoryError(f"HISTORY expected what conformance needs, got {error}. Fix: {fix}") from error
    if options.list:
        print(described(), end="")
        return CONFORMANT
    if not options.histories:
        print("ampybus: expected a history, got none. Fix: name a .jsonl file, or -", file=sys.stderr)
        return USAGE
    chosen = offline.named(options.checkers) if options.checkers else ()
    contract = load_contract(options.spec) if options.spec else default_contract()
    show = {"text": _text, "json": _json, "github": _github}[options.format]
    verdicts: set[Verdict] = set()
    unreadable = False
    for name in options.histories:
        try:
            head, events = _read(name)
            result = offline.judged(name, head, events, contract, chosen)
        except HistoryError as error:
            print(f"ampybus: {error}", file=sys.stderr)
            unreadable = True
            continue
        verdicts.add(result.verdict)
        show(name, result, len(events))
    if unreadable:
        return USAGE
    if Verdict.FAIL in verdicts:
        return FINDINGS
    return INCONCLUSIVE if Verdict.INCONCLUSIVE in verdicts else CONFORMANT


def _read(name: str) -> tuple[Head, list[Event]]:
    try:
        if name == "-":
            found = read_history(sys.stdin.buffer, "stdin")
        else:
            with Path(name).open("rb") as stream:
                found = read_history(stream, name)
    except OSError as error:
        raise HistoryError(f"HISTORY expected a file, got {error}. Fix: name a recorded history") from error
    gc.freeze()
    return found


def _text(name: str, result: Result, events: int) -> None:
    told = result.check if result.check != name else "general checkers"
    print(f"{name}: {result.verdict.upper()} ({told}, {events} events)")
    if result.reason:
        print(f"  {result.reason}")
    for found in result.evidence[:SHOWN]:
        print(f"    {found['sentence']}")
        for event in found["events"]:
            print(f"      {_line(event)}")
    if len(result.evidence) > SHOWN:
        print(f"    and {len(result.evidence) - SHOWN} more")


def _line(event: dict[str, Any]) -> str:
    identity = event["headers"].get("message_id", "")[-12:]
    return (
        f"{event['at'] / 1e9:12.6f} s  {event['actor']:16} {event['operation']:8} {event['outcome']:6} "
        f"{event['topic']} key={event['headers'].get('partition_key', '')} id=…{identity}"
    )


def _json(name: str, result: Result, events: int) -> None:
    shown = replace(result, evidence=result.evidence[:1000])
    print(json.dumps({"file": name, "events": events, "findings": len(result.evidence), **shown.to_dict()}))


def _github(name: str, result: Result, _events: int) -> None:
    kinds = {Verdict.FAIL: "error", Verdict.INCONCLUSIVE: "warning"}
    if kind := kinds.get(result.verdict):
        print(annotation(kind, result.check, result.reason, f"file={escape(name, ':,')}"))
