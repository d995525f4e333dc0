"""``ampybus report show|write|statement|badge|compare``: what JSON reports of conformance runs say."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from shutil import get_terminal_size
from typing import Any

from ampybus_contract.exit_codes import CONFORMANT, FINDINGS
from ampybus_contract.report.comparison import compare, render_comparison
from ampybus_contract.report.document import read_report
from ampybus_contract.report.forms import form_of, write_report
from ampybus_contract.report.statement import badge, statement
from ampybus_contract.report.terminal import folded, measured, render


def add(commands: Any) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser("report", help="read, turn and compare JSON reports of conformance runs")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    for name, run, words in (
        ("show", _show, "print a report as the run did"),
        ("statement", _statement, "print the conformance statement of a run"),
        ("badge", _badge, "print the badge of a run, as shields.io reads it"),
        ("write", _write, "write a report as .html, .xml (JUnit) or .json"),
    ):
        action = actions.add_parser(name, help=words)
        action.add_argument("report", type=Path, metavar="REPORT.json")
        if name == "write":
            action.add_argument("target", type=Path, metavar="FILE")
        if name == "show":
            action.add_argument("--measured", action="store_true", help="with what each check measured")
        action.set_defaults(run=run)
    action = actions.add_parser(
        "compare", help="set several runs beside each other; exit code 1 where they differ"
    )
    action.add_argument("reports", type=Path, nargs="+", metavar="REPORT.json")
    action.add_argument("--html", type=Path, default=None, metavar="FILE", help="write a page as well")
    action.add_argument("--measured", action="store_true", help="with the latency that each run measured")
    action.set_defaults(run=_compare)


def _show(options: argparse.Namespace) -> int:
    run = read_report(options.report)
    return _print([*render(run), *(measured(run) if options.measured else ())])


def _statement(options: argparse.Namespace) -> int:
    return _print(statement(read_report(options.report)))


def _badge(options: argparse.Namespace) -> int:
    print(json.dumps(badge(read_report(options.report))))
    return CONFORMANT


def _write(options: argparse.Namespace) -> int:
    form_of(options.target)
    write_report(read_report(options.report), options.target)
    return CONFORMANT


def _compare(options: argparse.Namespace) -> int:
    runs = [read_report(path) for path in options.reports]
    if options.html:
        from ampybus_contract.report.html import comparison_page  # noqa: PLC0415  needs an extra

        options.html.write_text(comparison_page(runs), encoding="utf-8", errors="backslashreplace")
    _print(render_comparison(runs, options.measured))
    return FINDINGS if any(row.differs for row in compare(runs)) else CONFORMANT


def _print(lines: Iterable[str]) -> int:
    for line in folded(lines, get_terminal_size().columns) if sys.stdout.isatty() else lines:
        print(line)
    return CONFORMANT
