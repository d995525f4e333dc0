"""What ``ampybus mutants --generated`` does: draw, judge, and say what nobody found."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict

from ampybus_contract.cli.worker_pool import worker_pool
from ampybus_contract.contract import default_contract
from ampybus_contract.exit_codes import CONFORMANT, FINDINGS, USAGE
from ampybus_contract.harness.generated import Fate, Judged, catalogue, draw, judged
from ampybus_contract.harness.kill_matrix import ground

BROKER = "memory"
GROUPED = ("operator", "place", "trigger")


def run(options: argparse.Namespace) -> int:
    """Print each fate, the score by operator, place and trigger, and a command for each that is left."""
    if options.generated is not None and options.generated < 1:
        print(f"ampybus: expected at least 1 mutant, got {options.generated}", file=sys.stderr)
        return USAGE
    if options.json is not None and not options.json.parent.is_dir():
        print(f"ampybus: expected a directory, got {options.json.parent}. Fix: make it", file=sys.stderr)
        return USAGE
    contract = default_contract()
    drawn = [catalogue(contract).find(options.only)] if options.only else []
    names = [item.id for item in drawn or draw(contract, options.generated, options.seed)]
    found = []
    for item in _all_judged(names, options.jobs):
        found.append(item)
        print(_line(item), flush=True)
    if options.json is not None:
        text = json.dumps([asdict(item) for item in found], indent=1) + "\n"
        options.json.write_text(text, encoding="utf-8")
    print("\n".join(report(found)))
    return CONFORMANT if all(item.fate is Fate.KILLED for item in found) else FINDINGS


def report(found: Sequence[Judged]) -> Iterator[str]:
    """The score and its parts; then what survived, each with the command that judges it alone."""
    for title in GROUPED:
        yield f"\n{title:<14}killed    of"
        yield from _scores(title, found)
    contract = default_contract()
    for item in found:
        if item.fate is not Fate.KILLED:
            yield f"\n{item.fate}: {catalogue(contract).find(item.id).says} Expected by: {item.chapter}"
            yield from (f"  {words}" for words in (item.reason, *item.trouble) if words)
            yield f"  ampybus mutants --only '{item.id}'"
    fates = Counter(item.fate for item in found)
    valid = len(found) - fates[Fate.INVALID]
    share = f", {fates[Fate.KILLED] / valid:.1%}" if valid else ""
    rest = ", ".join(f"{fates[fate]} {fate}" for fate in Fate if fate is not Fate.KILLED)
    yield f"\n{fates[Fate.KILLED]} of {valid} generated mutants killed{share}; {rest}"


def _scores(title: str, found: Sequence[Judged]) -> Iterator[str]:
    for name in sorted({getattr(item, title) for item in found}):
        fates = [
            item.fate for item in found if getattr(item, title) == name and item.fate is not Fate.INVALID
        ]
        yield f"{name:<14}{fates.count(Fate.KILLED):>6}{len(fates):>6}"


def _line(item: Judged) -> str:
    by = f" by {item.check}" if item.check else ""
    return f"{item.fate}{by}  {item.id}"


def _all_judged(names: Sequence[str], jobs: int) -> Iterable[Judged]:
    if len(names) == 1:
        with ground(BROKER, default_contract()) as place:
            yield judged(default_contract(), place, catalogue(default_contract()).find(names[0]))
        return
    with worker_pool(jobs, _hush) as pool:
        yield from pool.map(_one, names)


def _hush() -> None:
    """What asyncio and the binding say of bindings that are broken is nothing to read."""
    for name in ("asyncio", "ampybus_contract"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _one(name: str) -> Judged:
    contract = default_contract()
    with ground(BROKER, contract) as place:
        return judged(contract, place, catalogue(contract).find(name))
