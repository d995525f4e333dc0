"""``ampybus golden build|verify``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ampybus_contract.contract import data_directory, default_contract
from ampybus_contract.exit_codes import CONFORMANT, FINDINGS
from ampybus_contract.golden import build, differences, golden_files


def add(commands: Any) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser("golden", help="rebuild or verify golden envelopes")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    for name, run, words in (
        ("build", run_build, "write every derived golden and all wire bytes"),
        ("verify", run_verify, "name each golden that is not what it stands for"),
    ):
        action = actions.add_parser(name, help=words)
        action.add_argument("directory", nargs="?", type=Path, default=data_directory("golden"))
        action.set_defaults(run=run)


def run_build(options: argparse.Namespace) -> int:
    """Rebuild and say how many files were written."""
    print(f"{build(options.directory, default_contract())} files written")
    return CONFORMANT


def run_verify(options: argparse.Namespace) -> int:
    """Print every difference."""
    found = list(differences(options.directory, default_contract()))
    print("\n".join([*found, f"{len(golden_files(options.directory))} goldens, {len(found)} differences"]))
    return FINDINGS if found else CONFORMANT
