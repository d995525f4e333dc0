"""The files of a spec directory: where it lies, what belongs to it, and what its schemas say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from ampybus_contract.contract.overlay import FILE, bases, merged
from ampybus_contract.contract.schemas import departures
from ampybus_contract.contract.yaml_source import Source, read_yaml
from ampybus_contract.errors import SpecError, SpecProblem

CHAPTERS = (
    "contract", "headers", "delivery", "samples", "checks", "pointer", "backpressure", "replay", "metrics",
    "logs", "tracing", "security", "slo", "services", "bindings", "payloads", "privacy",
)  # fmt: skip
FOLDERS = {"domain": "domains", "requirements": "requirements"}


def data_directory(name: str) -> Path:
    """Where ``spec`` or ``golden`` lies: inside an installed wheel, else in the checkout."""
    package = Path(__file__).resolve().parents[1]
    shipped = package / "_data" / name
    return shipped if shipped.is_dir() else package.parents[1] / name


def is_shipped(directory: Path) -> bool:
    """Whether a directory is part of an installed package, whose files were checked before they shipped."""
    return directory.parent.name == "_data" and directory.parent.parent == Path(__file__).resolve().parents[1]


def read_spec(directory: Path) -> tuple[dict[str, list[Source]], list[SpecProblem]]:
    """The sources of a spec directory by kind, and every problem of syntax and schema in them.

    Those of an overlay are the sources of its base with its own laid over them.
    """
    try:
        *overlays, base = bases(directory, data_directory("spec"))
    except SpecError as error:
        return {}, error.problems
    sources, problems = _read(base, complete=True)
    for overlay in reversed(overlays):
        own, more = _read(overlay, complete=False)
        problems += more
        try:
            head = read_yaml(overlay / FILE, FILE)
        except SpecError as error:
            return sources, [*problems, *error.problems]
        if wrong := list(schema_problems(head, "overlay")):
            return sources, [*problems, *wrong]
        heads = [*sources.pop("overlay", []), head]
        sources, more = merged(sources, own, head)
        sources["overlay"] = heads
        problems += more
    if not is_shipped(directory):
        for kind, group in sources.items():
            problems += [problem for source in group for problem in schema_problems(source, kind)]
    return sources, problems


def _read(directory: Path, *, complete: bool) -> tuple[dict[str, list[Source]], list[SpecProblem]]:
    """The files of one directory; ``complete`` says that none of the chapters may be missing."""
    files = {name: [directory / f"{name}.yaml"] for name in CHAPTERS}
    files |= {kind: sorted(directory.glob(f"{folder}/*.yaml")) for kind, folder in FOLDERS.items()}
    problems: list[SpecProblem] = []
    sources: dict[str, list[Source]] = {}
    known = {path for paths in files.values() for path in paths} | {directory / FILE}
    for path in sorted({*directory.glob("*.yaml"), *directory.glob("*.yml")} - known):
        fix = "give it the name of a chapter, or move it away"
        problems.append(SpecProblem(path.name, 1, "", "a file that the contract has", path.name, fix))
    for kind, paths in files.items():
        sources[kind] = []
        for path in paths:
            if not complete and not path.exists():
                continue
            try:
                if not path.resolve().is_relative_to(directory.resolve()):
                    fix = "put the file itself there"
                    name = path.relative_to(directory).as_posix()
                    problems.append(
                        SpecProblem(name, 1, "", "a file of the directory", "a link out of it", fix)
                    )
                    continue
                sources[kind].append(read_yaml(path, path.relative_to(directory).as_posix()))
            except SpecError as error:
                problems += error.problems
    return sources, problems


def schema_problems(source: Source, kind: str) -> Iterator[SpecProblem]:
    """Where a file departs from ``schema/{kind}.schema.json``."""
    path = data_directory("spec") / "schema" / f"{kind}.schema.json"
    return departures(source, json.loads(path.read_text()), path.name)
