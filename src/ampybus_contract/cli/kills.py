"""What ``ampybus mutants`` does, once the extra that it needs is there."""

from __future__ import annotations

import argparse
import atexit
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from ampybus_contract.cli.worker_pool import worker_pool
from ampybus_contract.contract import default_contract
from ampybus_contract.exit_codes import CONFORMANT, FINDINGS, USAGE
from ampybus_contract.export.kill_page import DATA, PAGE, as_json, as_markdown, from_dict, published
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
    _hush()
    with ground(options.broker, contract) as place:
        matrix = KillMatrix(options.broker, control(contract, place), tuple(kills))
    text, data = as_markdown(contract, matrix), as_json(contract, matrix)
    if options.json is not None:
        options.json.write_text(data, encoding="utf-8")
    problems = list(shortcomings(contract, matrix))
    if options.publish:
        PAGE.write_text(text, encoding="utf-8")
        DATA.write_text(data, encoding="utf-8")
    elif not published(PAGE, text) or not published(DATA, data):
        problems += [
            f"{PAGE.name}: expected what was found{words}. Fix: ampybus mutants --publish"
            for words in differences(kills) or [""]
        ]
    killed = sum(item.killed for item in kills)
    print("\n".join([*problems, f"{killed} of {len(kills)} mutants killed by their own check"]))
    return FINDINGS if problems else CONFORMANT


def differences(kills: Sequence[Kill]) -> list[str]:
    """Words for each mutant for which other checks failed than published."""
    if not DATA.exists():
        return []
    published = from_dict(json.loads(DATA.read_text(encoding="utf-8"))).kills
    rows = {(item.check, item.mutant): item for item in published}
    said = []
    for item in kills:
        known = rows.get((item.check, item.mutant), item)
        if known != item:
            more = sorted({*item.others} - {*known.others})
            less = sorted({*known.others} - {*item.others})
            where = f"{item.check} {item.mutant!r}"
            said.append(f" for {where}, got another page: {more} failed too, {less} did not")
    return said


def _killed(options: argparse.Namespace) -> Iterator[Kill]:
    contract = default_contract()
    count = len(chosen(contract, options.words, options.broker))
    words = (options.broker, options.words, options.alone)
    with worker_pool(options.jobs, _start, options.broker) as pool:
        yield from pool.map(_one, [(*words, index) for index in range(count)])


_stack = ExitStack()
_grounds: list[Ground] = []


def _start(broker: str) -> None:
    """Open the ground of a worker; it is closed, with its servers and their files, when the worker ends."""
    _hush()
    atexit.register(_stack.close)
    _grounds.append(_stack.enter_context(ground(broker, default_contract())))


def _hush() -> None:
    """What asyncio says of ends of encrypted connections, which there are many of, is nothing to read."""
    logging.getLogger("asyncio").setLevel(logging.ERROR)


def _one(task: tuple[str, str, bool, int]) -> Kill:
    broker, words, alone, index = task
    contract = default_contract()
    return kill(contract, _grounds[0], chosen(contract, words, broker)[index], alone)
