"""``ampybus check HISTORY…``: judge recorded histories with the checkers of the suites."""

from __future__ import annotations

import argparse
import gc
import json
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ampybus_contract.contract import Contract, default_contract, load_contract
from ampybus_contract.errors import HistoryError
from ampybus_contract.exit_codes import CONFORMANT, FINDINGS, INCONCLUSIVE, USAGE
from ampybus_contract.harness.checkers import Checker
from ampybus_contract.harness.checkers.catalogue import GENERAL, described
from ampybus_contract.harness.checkers.delivery import unseen
from ampybus_contract.harness.judge import verdict_on
from ampybus_contract.harness.recording import Head, read_history
from ampybus_contract.harness.verdicts import Result, Verdict, evidence
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
    if options.list:
        print(described(), end="")
        return CONFORMANT
    if not options.histories:
        print("ampybus: expected a history, got none. Fix: name a .jsonl file, or -", file=sys.stderr)
        return USAGE
    chosen = _chosen(options.checkers)
    contract = load_contract(options.spec) if options.spec else default_contract()
    show = {"text": _text, "json": _json, "github": _github}[options.format]
    verdicts: set[Verdict] = set()
    unreadable = False
    for name in options.histories:
        try:
            result, events = _judged(name, chosen, contract)
        except HistoryError as error:
            print(f"ampybus: {error}", file=sys.stderr)
            unreadable = True
            continue
        verdicts.add(result.verdict)
        show(name, result, events)
    if unreadable:
        return USAGE
    if Verdict.FAIL in verdicts:
        return FINDINGS
    return INCONCLUSIVE if Verdict.INCONCLUSIVE in verdicts else CONFORMANT


def _chosen(names: str | None) -> tuple[Checker, ...]:
    if names is None:
        return ()
    known = {entry.name: entry.checker for entry in GENERAL}
    unknown = [name for name in names.split(",") if name not in known]
    if unknown:
        raise HistoryError(
            f"HISTORY expected checkers out of {', '.join(known)}, got {', '.join(unknown)[:200]!r}. "
            "Fix: see 'ampybus check --list'"
        )
    return tuple(known[name] for name in names.split(","))


def _judged(name: str, chosen: tuple[Checker, ...], contract: Contract) -> tuple[Result, int]:
    try:
        if name == "-":
            head, events = read_history(sys.stdin.buffer, "stdin")
        else:
            with Path(name).open("rb") as stream:
                head, events = read_history(stream, name)
    except OSError as error:
        raise HistoryError(f"HISTORY expected a file, got {error}. Fix: name a recorded history") from error
    gc.freeze()
    if not events:
        return Result(head.check or name, Verdict.INCONCLUSIVE, "nothing was recorded"), 0
    if head.check and not chosen:
        return verdict_on(head.check, events, _of_check(head, contract, name), contract), len(events)
    found = [
        anomaly
        for checker in chosen or _applying(head)
        if checker is not unseen or chosen
        for anomaly in checker(events, contract)
    ]
    if found:
        return Result(name, Verdict.FAIL, found[0].sentence, evidence(found)), len(events)
    if not chosen and (late := unseen(events, contract)):
        reason = f"the recording ends too early for a verdict: {late[0].sentence}"
        return Result(name, Verdict.INCONCLUSIVE, reason, evidence(late)), len(events)
    return Result(name, Verdict.PASS), len(events)


def _of_check(head: Head, contract: Contract, name: str) -> tuple[Checker, ...]:
    """What the suite of a check asks; without pytest there are no suites."""
    try:
        from ampybus_contract.harness.suites import checkers_by_check  # noqa: PLC0415  needs an extra

        known = checkers_by_check()
    except ImportError as error:
        fix = "pip install 'ampybus-contract[conformance]', or choose --checkers"
        raise HistoryError(f"HISTORY expected pytest for its suites, got {error}. Fix: {fix}") from error
    if head.check not in known or head.check not in contract.checks:
        fix = "judge with the version that recorded it, or leave 'check' empty for the general checkers"
        raise HistoryError(
            f"HISTORY expected a check with a suite, got {head.check[:40]!r} at {name}:1. Fix: {fix}"
        )
    return known[head.check]


def _applying(head: Head) -> Iterable[Checker]:
    """The general checkers whose capability the binding claims."""
    return [entry.checker for entry in GENERAL if not entry.claim or entry.claim in head.claims]


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
