"""What ``ampybus mutants --spec`` does: drop or weaken each rule of the spec, and say what notices."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from ampybus_contract.cli.worker_pool import worker_pool
from ampybus_contract.contract import Contract, data_directory, default_contract
from ampybus_contract.exit_codes import CONFORMANT, FINDINGS, USAGE
from ampybus_contract.export import spec_page
from ampybus_contract.export.kill_page import DATA, PAGE, as_json, as_markdown, from_dict, published
from ampybus_contract.golden import differences
from ampybus_contract.harness.kill_matrix import Ground, ground
from ampybus_contract.harness.spec_mutants import noticed, spec_mutants
from ampybus_contract.harness.spec_survivors import explained, explanations, stale

PUBLISH = "ampybus mutants --spec --publish"


def run(options: argparse.Namespace) -> int:
    """Print what notices each change, the survivors with their reasons, and those without.

    Without a filter, compare it with the published page, or publish it.
    """
    if options.publish and options.words:
        print("ampybus: --publish takes the changes of the whole spec", file=sys.stderr)
        return USAGE
    found: dict[str, str] = {}
    for name, notice in _noticed(options):
        found[name] = notice
        print(f"{name}: {notice or 'SURVIVED'}", flush=True)
    survivors = [name for name, notice in found.items() if not notice]
    known, whole = explanations(), not options.words
    problems = []
    for name in survivors:
        reason = explained(name, known)
        print(f"survivor {name}: {reason or 'NO REASON'}")
        if reason is None:
            problems.append(f"{name}: expected to be noticed or explained, got neither")
    if whole:
        problems += stale(survivors, known)
        text = spec_page.as_markdown(found, known)
        if options.publish:
            spec_page.PAGE.write_text(text, encoding="utf-8")
        elif not published(spec_page.PAGE, text):
            problems.append(f"{spec_page.PAGE.name}: expected what was found. Fix: {PUBLISH}")
    counts = Counter(spec_page.way(notice) for notice in found.values() if notice)
    told = ", ".join(f"{count} by {what}" for what, count in sorted(counts.items()))
    print("\n".join([*problems, f"{len(found)} changes: {told}; {len(survivors)} survived"]))
    return FINDINGS if problems else CONFORMANT


def _noticed(options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    count = len(_chosen(options.words))
    with worker_pool(options.jobs, _start) as pool:
        yield from pool.map(_one, [(options.words, index) for index in range(count)])


def _chosen(words: str) -> list[int]:
    made = spec_mutants(data_directory("spec"))
    return [index for index, item in enumerate(made) if words.lower() in item.name.lower()]


_stack = ExitStack()
_own: list[tuple[Ground, Path]] = []


def _start() -> None:
    """Give a worker its ground and its copy of the spec, gone with the process."""
    place = _stack.enter_context(ground("memory", default_contract()))
    scratch = _stack.enter_context(tempfile.TemporaryDirectory())
    copy = shutil.copytree(data_directory("spec"), Path(scratch, "spec"))
    _own.append((place, Path(copy)))


def _one(task: tuple[str, int]) -> tuple[str, str]:
    words, index = task
    place, directory = _own[0]
    shipped = data_directory("spec")
    mutant = spec_mutants(shipped)[_chosen(words)[index]]
    return mutant.name, noticed(mutant, directory, witnesses, default_contract(), place)


def witnesses(changed: Contract) -> Iterator[str]:
    """Where the published kill matrix or a golden does not agree with a contract."""
    matrix = from_dict(json.loads(DATA.read_text(encoding="utf-8")))
    if as_markdown(changed, matrix) != PAGE.read_text(encoding="utf-8"):
        yield f"published: {PAGE.name}"
    if as_json(changed, matrix) != DATA.read_text(encoding="utf-8"):
        yield f"published: {DATA.name}"
    for sentence in differences(data_directory("golden"), changed):
        yield f"golden: {sentence.partition(':')[0]}"
