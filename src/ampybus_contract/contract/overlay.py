"""Overlays: a directory that adds to a contract without copying it.

``overlay.yaml`` names the base in ``extends`` (``shipped``, or a path from the overlay); every other file has
the name and the shape of a file of the base and holds only what it adds. A value that the base has already is
changed only where its path is listed under ``replaces``, so that nothing is weakened by accident.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ampybus_contract.contract.yaml_source import Source, read_yaml
from ampybus_contract.errors import SpecError, SpecProblem

FILE = "overlay.yaml"
SHIPPED = "shipped"


def base_of(directory: Path, source: Source, shipped: Path) -> Path:
    """The directory that an overlay extends. Raises SpecError where it is missing."""
    name = source.data["extends"]
    base = shipped if name == SHIPPED else (directory / name).resolve()
    if not base.is_dir():
        fix = f"write {SHIPPED}, or a path from the overlay to a spec directory"
        raise SpecError([source.problem("/extends", "a spec directory", repr(name), fix)])
    return base


def bases(directory: Path, shipped: Path) -> list[Path]:
    """The directory and all that it extends, the outermost base last. Raises SpecError on a cycle."""
    found = [directory.resolve()]
    while (found[-1] / FILE).is_file():
        source = read_yaml(found[-1] / FILE, FILE)
        if not isinstance(source.data, dict) or not isinstance(source.data.get("extends"), str):
            raise SpecError(
                [source.problem("", "a mapping with 'extends'", "another shape", "name the base")]
            )
        base = base_of(found[-1], source, shipped)
        if base in found:
            fix = "extend a directory that does not extend this one"
            raise SpecError([source.problem("/extends", "a base outside the overlay", "a cycle", fix)])
        found.append(base)
    return found


def merged(
    base: dict[str, list[Source]], own: dict[str, list[Source]], head: Source
) -> tuple[dict[str, list[Source]], list[SpecProblem]]:
    """The sources of a base with those of an overlay laid over them, and what keeps them apart.

    Files of a folder are laid over the file of the same name; a new name is a new file.
    """
    replaces = [str(path) for path in head.data.get("replaces", [])]
    used: set[str] = set()
    problems: list[SpecProblem] = []
    result: dict[str, list[Source]] = {}
    for kind, sources in base.items():
        added = {source.file: source for source in own.get(kind, [])}
        result[kind] = []
        for source in sources:
            over = added.pop(source.file, None)
            if over is None:
                result[kind].append(source)
                continue
            layer = _Layer(over, replaces, used)
            data = layer.laid(source.data, over.data, "")
            problems += layer.problems
            result[kind].append(Source(source.file, data, source.lines, (*source.layers, over)))
        result[kind] += added.values()
    for index, path in enumerate(replaces):
        if path not in used:
            at = f"/replaces/{index}"
            problems.append(head.problem(at, "a path that the overlay changes", path, "remove it"))
    return result, problems


class _Layer:
    def __init__(self, over: Source, replaces: Sequence[str], used: set[str]) -> None:
        self.over, self.replaces, self.used = over, replaces, used
        self.problems: list[SpecProblem] = []

    def laid(self, old: Any, new: Any, path: str) -> Any:
        """``new`` over ``old``: mappings are joined, lists are continued, anything else must be allowed."""
        if self._allowed(path):
            return new
        if isinstance(old, dict) and isinstance(new, dict):
            joined = dict(old)
            for key, value in new.items():
                joined[key] = self.laid(old[key], value, f"{path}/{key}") if key in old else value
            return joined
        if isinstance(old, list) and isinstance(new, list):
            return [*old, *(item for item in new if item not in old)]
        if old != new:
            name = f"{self.over.file}{path}"
            fix = f"list {name} under 'replaces' in {FILE}, or leave it out"
            self.problems.append(self.over.problem(path, f"{old!r} as in the base", repr(new)[:80], fix))
        return old

    def _allowed(self, path: str) -> bool:
        name = f"{self.over.file}{path}"
        if name in self.replaces:
            self.used.add(name)
            return True
        return False


def suppression_problems(head: Source, levels: dict[str, str]) -> Iterator[SpecProblem]:
    """Suppressed requirements that are unknown, or that bind: only below MUST can one be left out."""
    for index, item in enumerate(head.data.get("suppress", [])):
        name, path = item["requirement"], f"/suppress/{index}/requirement"
        if name not in levels:
            yield head.problem(path, "a requirement of the contract", repr(name), "mend the name")
        elif levels[name] == "MUST":
            yield head.problem(path, "a requirement below MUST", f"{name}, a MUST", "keep it reported")
