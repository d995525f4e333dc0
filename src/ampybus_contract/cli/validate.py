"""``ampybus validate PATH…``: envelopes in files, directories, JSON lines and standard input."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ampybus_contract.cli.fixture_files import Verdict, read_paths
from ampybus_contract.cli.progress import Progress, bytes_of
from ampybus_contract.cli.workers import judge_all
from ampybus_contract.exit_codes import CONFORMANT, FINDINGS, USAGE
from ampybus_contract.report.annotations import annotation, escape

LISTED_VALID = 1000
MAX_JOBS = 256


def add(commands: Any) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser("validate", help="judge envelopes by the contract")
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="file, directory, .jsonl file, or - for stdin"
    )
    parser.add_argument("--format", choices=("text", "json", "github"), default="text")
    parser.add_argument("--spec", type=Path, default=None, help="judge by another spec directory")
    parser.add_argument("--headers-only", action="store_true", help="leave payloads unread")
    parser.add_argument("--quiet", action="store_true", help="text: name only envelopes with findings")
    parser.add_argument("--jobs", type=_count, default=1, metavar="N", help="processes that judge")
    parser.add_argument(
        "--progress",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="a progress bar on standard error (default: where that is a terminal)",
    )
    parser.set_defaults(run=run)


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MAX_JOBS:
        raise argparse.ArgumentTypeError(f"expected a number from 1 to {MAX_JOBS}, got {text!r}")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Judge all inputs; an input that cannot be read makes the exit code 2, the others are judged still."""
    show = {"text": _text, "json": _json, "github": _github}[options.format]
    listed = {"text": 0 if options.quiet else LISTED_VALID, "json": None, "github": 0}[options.format]
    shown = sys.stderr.isatty() if options.progress is None else options.progress
    progress = Progress(shown, bytes_of(options.paths))
    judged = broken = refused = unlisted = 0
    found = judge_all(read_paths(options.paths), options.spec, options.jobs, listed, options.headers_only)
    with closing(found):
        for part in found:
            for verdict in part.verdicts:
                judged += verdict.error is None
                broken += verdict.error is not None
                refused += verdict.error is None and not verdict.valid
                show(verdict)
            unlisted += part.unlisted
            progress.advance(len(part.verdicts) + part.unlisted, part.last_byte)
    progress.close()
    judged += unlisted
    if options.format == "text":
        if unlisted and not options.quiet:
            print(f"{unlisted} more without a finding")
        print(f"{judged - refused} valid, {refused} invalid, {broken} unreadable")
    if judged + broken == 0:
        print("ampybus: expected an envelope, found none. Fix: name .json or .jsonl files", file=sys.stderr)
        return USAGE
    return USAGE if broken else FINDINGS if refused else CONFORMANT


def _text(verdict: Verdict) -> None:
    if verdict.error:
        print(f"{verdict.file}: unreadable: {verdict.error}")
        return
    print(f"{verdict.file}: {'valid' if verdict.valid else 'INVALID'}")
    for item in verdict.findings:
        print(f"  {item.requirement} {item.level} {item.where}: {item.message}")
        print(f"      expected {item.expected}")
        print(f"      got      {item.got}")
        print(f"      fix      {item.hint}")


def _json(verdict: Verdict) -> None:
    row: dict[str, object] = {
        "file": verdict.file,
        "valid": verdict.valid,
        "findings": [asdict(item) for item in verdict.findings],
    }
    if verdict.error:
        row["error"] = verdict.error
    print(json.dumps(row))


def _github(verdict: Verdict) -> None:
    place = f"file={escape(verdict.path, ':,')},line={verdict.line}"
    if verdict.error:
        print(annotation("error", "unreadable", verdict.error, place))
    for item in verdict.findings:
        kind = "error" if item.level == "MUST" else "warning"
        words = f"{item.where}: expected {item.expected}, got {item.got}. {item.hint}"
        print(annotation(kind, item.requirement, words, place))
