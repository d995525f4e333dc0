"""What ``ampybus mutants`` does, once the extra that it needs is there."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path

from ampybus_contract.contract import default_contract
from ampybus_contract.exit_codes import CONFORMANT, FINDINGS, USAGE
from ampybus_contract.export.kill_page import DATA, PAGE, as_json, as_markdown
from ampybus_contract.harness.kill_matrix import (
    GROUNDS,
    Ground,
    Kill,
    KillMatrix,
    chosen,
    control,
    ground,
    kill,
    shortcomings,
)


def run(options: argparse.Namespace) -> int:
    """Print the matrix and what it fails to prove; without a filter, compare it with the published one."""
    if options.broker not in GROUNDS:
        print(
            f"ampybus: expected a broker out of {', '.join(GROUNDS)}, got {options.broker!r}", file=sys.stderr
        )
        return USAGE
    contract = default_contract()
    whole = not options.words and not options.alone and options.broker == "memory"
    if options.publish and not whole:
        print("ampybus: --publish takes the whole matrix, on memory", file=sys.stderr)
        return USAGE
    if options.json is not None and not options.json.parent.is_dir():
        print(f"ampybus: expected a directory, got {options.json.parent}. Fix: make it", file=sys.stderr)
        return USAGE
    kills = []
    for item in _killed(options):
        kills.append(item)
        print(f"{item.check}  {item.mutant}: {item.verdict}, {len(item.others)} others failed", flush=True)
    if not kills:
        print(f"ampybus: no mutant has {options.words!r} in its check or name", file=sys.stderr)
        return USAGE
    if not whole:
        survived = [item for item in kills if not item.killed]
        print(f"{len(kills) - len(survived)} of {len(kills)} mutants killed by their own check")
        return FINDINGS if survived else CONFORMANT
    with ground(options.broker, contract) as place:
        matrix = KillMatrix(options.broker, control(contract, place), tuple(kills))
    text, data = as_markdown(contract, matrix), as_json(contract, matrix)
    if options.json is not None:
        options.json.write_text(data, encoding="utf-8")
    problems = list(shortcomings(contract, matrix))
    if options.publish:
        PAGE.write_text(text, encoding="utf-8")
        DATA.write_text(data, encoding="utf-8")
    elif not _published(PAGE, text) or not _published(DATA, data):
        problems.append(f"{PAGE.name}: differs from what was found. Fix: ampybus mutants --publish")
    killed = sum(item.killed for item in kills)
    print("\n".join([*problems, f"{killed} of {len(kills)} mutants killed by their own check"]))
    return FINDINGS if problems else CONFORMANT


def _published(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


def _killed(options: argparse.Namespace) -> Iterator[Kill]:
    contract = default_contract()
    count = len(chosen(contract, options.words, options.broker))
    words = (options.broker, options.words, options.alone)
    with ProcessPoolExecutor(options.jobs, get_context("spawn"), _start, (options.broker,)) as pool:
        yield from pool.map(_one, [(*words, index) for index in range(count)])


_stack = ExitStack()
_grounds: list[Ground] = []


def _start(broker: str) -> None:
    """Open the ground of a worker; it is left open until the worker ends.

    What asyncio says of ends of encrypted connections, which mutants have many of, is nothing to read.
    """
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    _grounds.append(_stack.enter_context(ground(broker, default_contract())))


def _one(task: tuple[str, str, bool, int]) -> Kill:
    broker, words, alone, index = task
    contract = default_contract()
    return kill(contract, _grounds[0], chosen(contract, words, broker)[index], alone)
