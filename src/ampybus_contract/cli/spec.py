"""``ampybus spec``: does a spec directory load, and what shows its requirements?"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ampybus_contract.cli import spec_diff
from ampybus_contract.contract import data_directory, load_contract
from ampybus_contract.contract.coverage import gaps, shown_by, summary
from ampybus_contract.errors import SpecError, SpecProblem
from ampybus_contract.exit_codes import CONFORMANT, FINDINGS
from ampybus_contract.lint import lint
from ampybus_contract.report.annotations import annotation, escape


def _github(problem: SpecProblem) -> str:
    place = f"file={escape(problem.file, ':,')},line={problem.line}"
    return annotation("error", "spec", str(problem), place)


_SHOWN: dict[str, Callable[[SpecProblem], str]] = {
    "text": str,
    "json": lambda problem: json.dumps(asdict(problem)),
    "github": _github,
}


def add(commands: Any) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser("spec", help="check the contract's own files")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    linted = actions.add_parser("lint", help="load a spec directory and name every problem")
    linted.add_argument("directory", nargs="?", type=Path, default=None, help="default: the shipped spec")
    linted.add_argument("--format", choices=tuple(_SHOWN), default="text")
    linted.set_defaults(run=run)
    covered = actions.add_parser("coverage", help="print which checks show which requirement")
    covered.add_argument("directory", nargs="?", type=Path, default=None, help="default: the shipped spec")
    covered.set_defaults(run=coverage)
    spec_diff.add(actions)


def run(options: argparse.Namespace) -> int:
    """Print every problem of the spec, or what it holds."""
    directory = options.directory or data_directory("spec")
    problems = lint(directory)
    for problem in problems:
        print(_SHOWN[options.format](problem))
    if problems or options.format != "text":
        return FINDINGS if problems else CONFORMANT
    contract = load_contract(directory)
    print(
        f"{len(contract.requirements)} requirements, {len(contract.checks)} checks, "
        f"{len(contract.headers)} headers, {len(contract.tiers)} tiers, "
        f"{len(contract.reasons)} reason codes, {len(contract.metrics)} metrics, "
        f"{len(contract.services)} services, "
        f"{len(contract.domains)} domains ({', '.join(contract.domains)}): no problem found"
    )
    return CONFORMANT


def coverage(options: argparse.Namespace) -> int:
    """Print what shows each requirement, the figures, and every gap; gaps are findings."""
    try:
        contract = load_contract(options.directory or data_directory("spec"))
    except SpecError as error:
        print(error)
        return FINDINGS
    for name, rule in sorted(contract.requirements.items()):
        print(f"{name:<7} {rule.level:<6} {shown_by(contract, name)}")
    print(summary(contract))
    found = list(gaps(contract))
    for gap in found:
        print(f"GAP {gap.id} {gap.lacks}")
    return FINDINGS if found else CONFORMANT
