"""YAML as plain data plus the line of every node, so that errors can say where."""

from __future__ import annotations

import math
import re
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
        """A problem at ``path``, or at its nearest ancestor that has a line, in the last layer with it."""
        nearest = max((self, *self.layers), key=lambda layer: len(layer.nearest(path)))
        for layer in self.layers:
            if len(layer.nearest(path)) == len(nearest.nearest(path)):
                nearest = layer
        line = nearest.lines.get(nearest.nearest(path), 1)
        return SpecProblem(nearest.file, line, path, expected, got, fix)

    def nearest(self, path: str) -> str:
        """The path, or its nearest ancestor, that this file has a line for."""
        while path and path not in self.lines:
            path = path.rpartition("/")[0]
        return path


MOST_BYTES = 4 * 1024 * 1024
MOST_NODES = 200_000
MOST_LEVELS = 200
_OPENING = re.compile(r"[\[{]|[\]}]")
_STACKED = re.compile(r"(?:[-?:][ \t]+){100}")


class _Reader:
    def __init__(self, file: str) -> None:
        self.source = Source(file, None, {})
        self.loader = yaml.SafeLoader("")
        self.problems: list[SpecProblem] = []
        self.nodes = 0

    def plain(self, node: yaml.Node, path: str) -> Any:
        self.nodes += 1
        if self.nodes > MOST_NODES:
            fix = "write less, and few aliases of aliases"
            raise SpecError([self.source.problem(path, f"at most {MOST_NODES} values", "more", fix)])
        self.source.lines[path] = node.start_mark.line + 1
        if node.tag not in _TAGS:
            self.problems.append(
                self.source.problem(path, "plain data", f"the tag {node.tag}", "remove the tag")
            )
            return None
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.plain(item, f"{path}/{index}") for index, item in enumerate(node.value)]
        if node.tag.endswith(":timestamp"):
            return str(node.value)
        value = self.loader.construct_object(node)
        if isinstance(value, float) and not math.isfinite(value):
            fix = "write a number"
            self.problems.append(self.source.problem(path, "a finite number", str(node.value), fix))
        return value

    def mapping(self, node: yaml.MappingNode, path: str) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value in node.value:
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
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise SpecError([SpecProblem(name, 1, "", f"at most {MOST_BYTES} bytes", f"{size}", "split it")])
        text = path.read_text(encoding="utf-8")
        if _deep(text):
            got = "a deeper one"
            raise SpecError(
                [SpecProblem(name, 1, "", f"a nesting of at most {MOST_LEVELS}", got, "flatten it")]
            )
        node = yaml.compose(text, Loader=_LOADER)
        data = None if node is None else reader.plain(node, "")
    except OSError as error:
        raise SpecError(
            [SpecProblem(name, 1, "", "a readable file", str(error.strerror), "check path and rights")]
        ) from error
    except UnicodeDecodeError as error:
        raise SpecError([SpecProblem(name, 1, "", "UTF-8 text", str(error), "save as UTF-8")]) from error
    except RecursionError as error:
        raise SpecError(
            [SpecProblem(name, 1, "", "a finite tree", "an alias within itself", "write the value out")]
        ) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        got = str(getattr(error, "problem", None) or error)
        raise SpecError([SpecProblem(name, line, "", "YAML", got, "mend the syntax")]) from error
    if reader.problems:
        raise SpecError(reader.problems)
    return Source(name, data, reader.source.lines)


def _deep(text: str) -> bool:
    """Whether a text may be nested deeper than a parser's stack bears; brackets in quotes count as well."""
    level = 0
    for match in _OPENING.finditer(text):
        level = level + 1 if match[0] in "[{" else max(level - 1, 0)
        if level > MOST_LEVELS:
            return True
    return _STACKED.search(text) is not None
