"""The ``ampybus`` command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from ampybus_contract.cli import check, golden, mutants, report, spec, validate
from ampybus_contract.errors import AmpyBusError
from ampybus_contract.exit_codes import INTERNAL, USAGE


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code: 0 conformant, 1 findings, 2 usage, 4 internal."""
    parser = argparse.ArgumentParser(prog="ampybus", description="The ampy-bus contract on the command line.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    validate.add(commands)
    check.add(commands)
    spec.add(commands)
    golden.add(commands)
    mutants.add(commands)
    report.add(commands)
    options = parser.parse_args(arguments)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except AmpyBusError as error:
        print(f"ampybus: {error}", file=sys.stderr)
        return USAGE
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return INTERNAL
    except KeyboardInterrupt:
        print("ampybus: interrupted", file=sys.stderr)
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main())
