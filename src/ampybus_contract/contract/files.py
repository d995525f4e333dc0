"""The files of a spec directory: where it lies, what belongs to it, and what its schemas say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

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
    """The sources of a spec directory by kind, and every problem of syntax and schema in them."""
    trusted = is_shipped(directory)
    files = {name: [directory / f"{name}.yaml"] for name in CHAPTERS}
    files |= {kind: sorted(directory.glob(f"{folder}/*.yaml")) for kind, folder in FOLDERS.items()}
    problems: list[SpecProblem] = []
    sources: dict[str, list[Source]] = {}
    for kind, paths in files.items():
        sources[kind] = []
        for path in paths:
            try:
                source = read_yaml(path, path.relative_to(directory).as_posix())
            except SpecError as error:
                problems += error.problems
            else:
                if not trusted:
                    problems += schema_problems(source, kind)
                sources[kind].append(source)
    return sources, problems


def schema_problems(source: Source, kind: str) -> Iterator[SpecProblem]:
    """Where a file departs from ``schema/{kind}.schema.json``."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - takes longer than all else to import

    schema = json.loads((data_directory("spec") / "schema" / f"{kind}.schema.json").read_text())
    for error in Draft202012Validator(schema).iter_errors(source.data):
        path = "".join(f"/{part}" for part in error.absolute_path)
        expected = f"{error.validator} {json.dumps(error.validator_value)[:120]}"
        yield source.problem(path, expected, error.message[:200], f"compare with schema/{kind}.schema.json")
