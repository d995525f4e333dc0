"""YAML as plain data plus the line of every node, so that errors can say where."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ampybus_contract.errors import SpecError, SpecProblem


@dataclass(frozen=True, slots=True)
class Source:
    """A parsed file: ``data``, and the 1-based line of each node by its slash-separated path.

    ``layers`` are files of overlays that were laid over it, in that order.
    """

    file: str
    data: Any
    lines: dict[str, int]
    layers: tuple[Source, ...] = ()

    def problem(self, path: str, expected: str, got: str, fix: str) -> SpecProblem:
        """A problem at the ``place`` of a path."""
        file, line = self.place(path)
        return SpecProblem(file, line, path, expected, got, fix)

    def place(self, path: str) -> tuple[str, int]:
        """File and line of ``path`` or its nearest ancestor that has a line, in the last layer with it."""
        nearest = max((self, *self.layers), key=lambda layer: len(layer.nearest(path)))
        for layer in self.layers:
            if len(layer.nearest(path)) == len(nearest.nearest(path)):
                nearest = layer
        return nearest.file, nearest.lines.get(nearest.nearest(path), 1)

    def nearest(self, path: str) -> str:
        """The path, or its nearest ancestor, that this file has a line for."""
        while path and path not in self.lines:
            path = path.rpartition("/")[0]
        return path


MOST_BYTES = 4 * 1024 * 1024
MOST_NODES = 50_000
MOST_ITEMS = 2_000
MOST_LEVELS = 100
LONGEST_PATH = 500
LARGEST_INTEGER = 2**63 - 1


class _Reader:
    def __init__(self, file: str) -> None:
        self.source = Source(file, None, {})
        self.loader = yaml.SafeLoader("")
        self.problems: list[SpecProblem] = []
        self.nodes = 0
        self.around: set[int] = set()

    def plain(self, node: yaml.Node, path: str) -> Any:
        self.nodes += 1
        if self.nodes > MOST_NODES:
            fix = "write less, and few aliases of aliases"
            raise SpecError([self.source.problem(path, f"at most {MOST_NODES} values", "more", fix)])
        if len(path) > LONGEST_PATH:
            expected = f"a path of at most {LONGEST_PATH} characters"
            raise SpecError([self.source.problem(path[:80], expected, "a longer one", "write shorter keys")])
        if len(self.around) > MOST_LEVELS:
            expected = f"a nesting of at most {MOST_LEVELS}"
            raise SpecError([self.source.problem(path, expected, "a deeper one, by aliases", "flatten it")])
        if id(node) in self.around:
            got = "an alias within itself"
            raise SpecError([self.source.problem(path, "a finite tree", got, "write the value out")])
        self.source.lines[path] = node.start_mark.line + 1
        if node.tag not in _TAGS:
            self.problems.append(
                self.source.problem(path, "plain data", f"the tag {node.tag}", "remove the tag")
            )
            return None
        if isinstance(node, yaml.CollectionNode):
            self.around.add(id(node))
            try:
                return self.collection(node, path)
            finally:
                self.around.remove(id(node))
        if node.tag.endswith(":timestamp"):
            return str(node.value)
        return self.scalar(node, path)

    def collection(self, node: yaml.CollectionNode, path: str) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if len(node.value) > MOST_ITEMS:
            got = str(len(node.value))
            raise SpecError([self.source.problem(path, f"at most {MOST_ITEMS} items", got, "write fewer")])
        return [self.plain(item, f"{path}/{index}") for index, item in enumerate(node.value)]

    def scalar(self, node: yaml.Node, path: str) -> Any:
        got = str(node.value)[:80]
        try:
            value = self.loader.construct_object(node)
        except (ValueError, KeyError, IndexError):
            kind = node.tag.rpartition(":")[2]
            self.problems.append(self.source.problem(path, f"a value of type {kind}", got, "mend it"))
            return None
        if isinstance(value, float) and not math.isfinite(value):
            self.problems.append(self.source.problem(path, "a finite number", got, "write a number"))
        if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
            expected = f"a whole number up to {LARGEST_INTEGER}"
            self.problems.append(self.source.problem(path, expected, got, "write a smaller one"))
        return value

    def mapping(self, node: yaml.MappingNode, path: str) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                line, got = key_node.start_mark.line + 1, "a list or a mapping"
                problem = SpecProblem(self.source.file, line, path, "a text as key", got, "write a text")
                self.problems.append(problem)
                continue
            key = str(key_node.value)
            if key in result:
                line = key_node.start_mark.line + 1
                self.problems.append(
                    SpecProblem(
                        self.source.file,
                        line,
                        f"{path}/{key}",
                        "each key once",
                        f"{key!r} again",
                        "keep one",
                    )
                )
            result[key] = self.plain(value, f"{path}/{key}")
        return result


_KINDS = ("str", "int", "float", "bool", "null", "timestamp", "map", "seq")
_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in _KINDS}


_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path, name: str) -> Source:
    """Read one file without building any object but plain data.

    Raises SpecError for unreadable files, malformed YAML, duplicate keys, tags, and aliases that
    contain themselves.
    """
    reader = _Reader(name)
    try:
        text = _text(path, name)
        if (line := _too_deep(text)) is not None:
            expected = f"a nesting of at most {MOST_LEVELS}"
            raise SpecError([SpecProblem(name, line, "", expected, "a deeper one", "flatten it")])
        node = yaml.compose(text, Loader=_LOADER)
        data = None if node is None else reader.plain(node, "")
    except OSError as error:
        raise SpecError(
            [SpecProblem(name, 1, "", "a readable file", str(error.strerror), "check path and rights")]
        ) from error
    except UnicodeDecodeError as error:
        raise SpecError([SpecProblem(name, 1, "", "UTF-8 text", str(error), "save as UTF-8")]) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        got = str(getattr(error, "problem", None) or error)
        raise SpecError([SpecProblem(name, line, "", "YAML", got, "mend the syntax")]) from error
    if reader.problems:
        raise SpecError(reader.problems)
    return Source(name, data, reader.source.lines)


def _text(path: Path, name: str) -> str:
    if path.exists() and not path.is_file():
        fix = "put a plain file there"
        raise SpecError([SpecProblem(name, 1, "", "a file", "a folder, pipe or device", fix)])
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise SpecError([SpecProblem(name, 1, "", f"at most {MOST_BYTES} bytes", "more", "split it")])
    return data.decode("utf-8")


def _too_deep(text: str) -> int | None:
    """The line at which a text is nested deeper than is read, or None.

    The events are walked first, one after another: composing them calls itself for each level, in C, where a
    text of 50,000 brackets ends the process.
    """
    level = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            level += 1
            if level > MOST_LEVELS:
                return event.start_mark.line + 1 if event.start_mark else 1
        elif isinstance(event, yaml.CollectionEndEvent):
            level -= 1
    return None
