"""``ampybus mutants``: is every check able to fail, and every rule of the spec missed when it is gone?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ampybus_contract.errors import TargetError

JOBS = 2


def add(commands: Any) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser("mutants", help="show that every check fails for a binding that breaks it")
    parser.add_argument("--broker", default="memory", metavar="NAME", help="where they are judged")
    parser.add_argument("-k", dest="words", default="", help="only mutants whose check or name has this text")
    parser.add_argument("--alone", action="store_true", help="judge each mutant by its own check only")
    parser.add_argument("--jobs", type=int, default=JOBS, help=f"processes (default: {JOBS})")
    parser.add_argument("--json", type=Path, default=None, help="write the matrix here")
    parser.add_argument("--publish", action="store_true", help="write the published page and its data")
    parser.add_argument("--spec", action="store_true", help="change the spec instead, one rule at a time")
    parser.add_argument(
        "--generated", type=int, default=None, metavar="N", help="judge N generated mutants on memory instead"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="draw other generated mutants")
    parser.add_argument("--only", default="", metavar="ID", help="judge one generated mutant, by its ID")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run mutants of the binding, or of the spec. Raises TargetError where an extra is not installed."""
    try:
        from ampybus_contract.cli import (  # noqa: PLC0415  needs an extra
            generated_runs,
            kills,
            spec_mutant_runs,
        )
    except ImportError as error:
        fix = "pip install 'ampybus-contract[conformance]'"
        raise TargetError(f"TARGET expected what conformance needs, got {error}. Fix: {fix}") from error
    if options.generated is not None or options.only:
        return generated_runs.run(options)
    return spec_mutant_runs.run(options) if options.spec else kills.run(options)
