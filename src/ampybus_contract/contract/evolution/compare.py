"""The changes between two spec directories, and the version that they ask for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ampybus_contract.contract.evolution.effects import ALL, Change, Direction
from ampybus_contract.contract.evolution.rules import effect_of
from ampybus_contract.contract.files import read_spec
from ampybus_contract.contract.overlay import FILE
from ampybus_contract.contract.yaml_source import read_yaml
from ampybus_contract.errors import SpecError, SpecProblem

BUMPS = ("none", "patch", "minor", "major")
VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Comparison:
    """All changes, the bump of the version that they ask for, and the one that was made (of ``BUMPS``)."""

    old_version: str
    new_version: str
    changes: tuple[Change, ...]
    asked: str
    made: str

    @property
    def sufficient(self) -> bool:
        """Whether the version says at least as much as the changes do."""
        return BUMPS.index(self.made) >= BUMPS.index(self.asked)


def compare(old: Path, new: Path) -> Comparison:
    """Compare two spec directories. Raises SpecError where one is none, or its YAML cannot be read."""
    before, after = tree(old), tree(new)
    changes = tuple(_changes(before, after, ""))
    versions = before["contract"]["version"], after["contract"]["version"]
    return Comparison(*versions, changes, _asked(changes), _made(*versions))


def tree(directory: Path) -> dict[str, Any]:
    """The data of a spec directory by chapter, with ``domains`` and ``requirements`` by name."""
    if (directory / FILE).exists():
        sources, problems = read_spec(directory)
        if problems:
            raise SpecError(problems)
        files = [(source.file, source.data) for group in sources.values() for source in group]
    else:
        paths = sorted({*directory.glob("*.yaml"), *directory.glob("domains/*.yaml"),
                        *directory.glob("requirements/*.yaml")})  # fmt: skip
        names = [(path, path.relative_to(directory).as_posix()) for path in paths]
        files = [(name, read_yaml(path, name).data) for path, name in names]
    found: dict[str, Any] = {"domains": {}, "requirements": {}}
    for name, data in files:
        if not isinstance(data, dict):
            raise SpecError([SpecProblem(name, 1, "", "a mapping", type(data).__name__, "mend the file")])
        folder = name.partition("/")[0]
        if folder == "domains":
            found["domains"][data.get("domain")] = {k: v for k, v in data.items() if k != "domain"}
        elif folder == "requirements":
            found["requirements"] |= data.get("requirements", {})
        elif name != FILE:
            found[name.removesuffix(".yaml")] = data
    version = found.get("contract", {}).get("version")
    if not isinstance(version, str) or not VERSION.fullmatch(version):
        fix = "name the directory that holds contract.yaml"
        problem = SpecProblem("contract.yaml", 1, "/version", "a version x.y.z", repr(version), fix)
        raise SpecError([problem])
    return found


def _changes(old: Any, new: Any, path: str) -> Iterator[Change]:
    if old == new:
        return
    one_sided = old is None or new is None
    if one_sided and (effect := effect_of(path, whole=True)) is not None:
        yield effect(path, old, new)
    elif isinstance(old or new, Mapping) and isinstance(new or old, Mapping) and (old or new):
        before, after = old or {}, new or {}
        for key in (*before, *(key for key in after if key not in before)):
            yield from _changes(before.get(key), after.get(key), f"{path}/{key}".lstrip("/"))
    else:
        effect = effect_of(path)
        unknown = Change(path, old, new, ALL, "a change whose effect nobody has declared")
        yield effect(path, old, new) if effect else unknown


def _asked(changes: tuple[Change, ...]) -> str:
    """Breaking changes ask for a major version, words alone for a patch, others for a minor (section 23)."""
    rules = [change for change in changes if change.path != "contract/version"]
    if any(change.breaks for change in rules):
        return "major"
    if any(not change.wording for change in rules):
        return "minor"
    return "patch" if rules else "none"


def _made(old: str, new: str) -> str:
    before, after = ([int(part) for part in version.split(".")] for version in (old, new))
    for bump, one, other in zip(("major", "minor", "patch"), before, after, strict=True):
        if one != other:
            return bump if other > one else "none"
    return "none"


def broken(changes: tuple[Change, ...], direction: Direction) -> list[Change]:
    """The changes that break one direction."""
    return [change for change in changes if direction in change.breaks]
