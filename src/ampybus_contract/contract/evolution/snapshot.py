"""One version of a contract as plain data, with the place of every value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ampybus_contract.contract.evolution.effects import escaped, unescaped
from ampybus_contract.contract.evolution.protobuf import messages
from ampybus_contract.contract.files import data_directory, read_spec
from ampybus_contract.contract.overlay import FILE, bases
from ampybus_contract.contract.yaml_source import Source, read_yaml
from ampybus_contract.errors import SpecError, SpecProblem

VERSION = re.compile(r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The data by chapter, ``domains`` and ``requirements`` by name, ``proto`` by protobuf type.

    ``origins`` names the source of a part of it, by path, and the path within the file.
    """

    version: str
    data: Mapping[str, Any]
    origins: Mapping[str, tuple[Source, str]]

    def place(self, path: str) -> str:
        """File and line of the value at a path, or of the nearest around it; empty where none is known."""
        parts = path.split("/")
        for length in (2, 1):
            origin = self.origins.get("/".join(parts[:length]))
            if origin is not None and len(parts) >= length:
                source, start = origin
                inner = "".join(f"/{unescaped(part)}" for part in parts[length:])
                file, line = source.place(start + inner)
                return f"{file}:{line}"
        return ""


def snapshot(directory: Path) -> Snapshot:
    """Read a spec directory or an overlay.

    Chapters may be missing or unknown, as those of other versions are. JSON Schemas are not read: they say
    how files are written, not what holds on a bus. Raises SpecError with every problem that is in the way.
    """
    sources, problems = _sources(directory)
    data: dict[str, Any] = {"domains": {}, "requirements": {}}
    origins: dict[str, tuple[Source, str]] = {}
    for source in sources:
        problems += _added(source, data, origins)
    version = _version(data)
    if version is None:
        fix = "name the directory that holds contract.yaml"
        got = repr(_entry(data.get("contract"), "version"))[:80]
        problems.append(SpecProblem("contract.yaml", 1, "/version", "a version x.y.z", got, fix))
    types, more = messages(reversed(bases(directory, data_directory("spec"))))
    if types:
        data["proto"] = types
    problems += more
    if problems or version is None:
        raise SpecError(problems)
    return Snapshot(version, data, origins)


def _sources(directory: Path) -> tuple[list[Source], list[SpecProblem]]:
    if (directory / FILE).exists():
        kinds, problems = read_spec(directory)
        return [source for group in kinds.values() for source in group], problems
    sources: list[Source] = []
    problems = []
    folders = ("*.yaml", "domains/*.yaml", "requirements/*.yaml")
    for path in sorted(path for folder in folders for path in directory.glob(folder)):
        name = path.relative_to(directory).as_posix()
        if not path.resolve().is_relative_to(directory.resolve()):
            fix = "put the file itself there"
            problems.append(SpecProblem(name, 1, "", "a file of the directory", "a link out of it", fix))
            continue
        try:
            sources.append(read_yaml(path, name))
        except SpecError as error:
            problems += error.problems
    return sources, problems


def _added(
    source: Source, data: dict[str, Any], origins: dict[str, tuple[Source, str]]
) -> Iterator[SpecProblem]:
    """Lay one file into the data, and say what keeps it out."""
    folder, slash, _ = source.file.partition("/")
    chapter = folder.removesuffix(".yaml")
    if not isinstance(source.data, dict):
        yield source.problem("", "a mapping", type(source.data).__name__, "mend the file")
    elif folder == FILE:
        suppressed = source.data.get("suppress", [])
        named = [_entry(item, "requirement") for item in suppressed]
        data["overlay"] = {"suppress": [*data.get("overlay", {}).get("suppress", []), *named]}
    elif slash:
        yield from (_domain if folder == "domains" else _requirements)(source, data, origins)
    elif chapter in (*data, "proto"):
        yield source.problem("", "the name of a chapter", source.file, "give it another name")
    else:
        data[chapter] = source.data
        origins[chapter] = (source, "")
        if chapter == "headers":
            yield from _no_mappings(source, "headers")


def _domain(
    source: Source, data: dict[str, Any], origins: dict[str, tuple[Source, str]]
) -> Iterator[SpecProblem]:
    name = source.data.get("domain")
    if not isinstance(name, str) or name in data["domains"]:
        yield source.problem("/domain", "a name of its own", repr(name)[:80], "name the domain")
        return
    data["domains"][name] = {key: value for key, value in source.data.items() if key != "domain"}
    origins[f"domains/{escaped(name)}"] = (source, "")


def _requirements(
    source: Source, data: dict[str, Any], origins: dict[str, tuple[Source, str]]
) -> Iterator[SpecProblem]:
    wrong = list(_no_mappings(source, "requirements"))
    if wrong:
        yield from wrong
        return
    for name, rule in source.data["requirements"].items():
        path = f"/requirements/{name}"
        if name in data["requirements"]:
            yield source.problem(path, "each requirement once", f"{name} again", "keep one")
        elif not isinstance(rule.get("level"), str):
            yield source.problem(path, "a level", "none", "write MUST, SHOULD, MAY or INFO")
        data["requirements"][name] = rule
        origins[f"requirements/{escaped(name)}"] = (source, path)


def _no_mappings(source: Source, key: str) -> Iterator[SpecProblem]:
    """What should be a mapping of mappings and is none."""
    found = source.data.get(key)
    if not isinstance(found, dict):
        yield source.problem(f"/{key}", "a mapping", type(found).__name__, "mend the file")
        return
    for name, rule in found.items():
        if not isinstance(rule, dict):
            yield source.problem(f"/{key}/{name}", "a mapping", type(rule).__name__, "mend the file")


def _entry(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, Mapping) else None


def _version(data: Mapping[str, Any]) -> str | None:
    version = _entry(data.get("contract"), "version")
    return version if isinstance(version, str) and VERSION.fullmatch(version) else None
