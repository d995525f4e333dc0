"""``ampybus spec lint``: does a spec directory load?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ampybus_contract.contract import data_directory, load_contract
from ampybus_contract.errors import SpecError
from ampybus_contract.exit_codes import CONFORMANT, FINDINGS


def add(commands: Any) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser("spec", help="check the contract's own files")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    lint = actions.add_parser("lint", help="load a spec directory and name every problem")
    lint.add_argument("directory", nargs="?", type=Path, default=None, help="default: the shipped spec")
    lint.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print every problem of the spec, or what it holds."""
    directory = options.directory or data_directory("spec")
    try:
        contract = load_contract(directory)
    except SpecError as error:
        print(error)
        return FINDINGS
    print(
        f"{len(contract.requirements)} requirements, {len(contract.headers)} headers, "
        f"{len(contract.domains)} domains ({', '.join(contract.domains)}): no problem found"
    )
    return CONFORMANT
