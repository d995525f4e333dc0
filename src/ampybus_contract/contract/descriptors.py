"""Compiled protobuf descriptors that specs bring along: provisional types, and those of teams' domains."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.message import DecodeError

from ampybus_contract.errors import SpecProblem

FOLDER = "proto"
_files: dict[str, bytes] = {}


def add_descriptors(directory: Path) -> list[SpecProblem]:
    """Make the descriptors in ``proto/*.binpb`` known to this process, and say what is wrong with them.

    One name of a ``.proto`` file stands for one content in a process, as in protobuf itself.
    """
    problems: list[SpecProblem] = []
    for path in sorted((directory / FOLDER).glob("*.binpb")):
        name = f"{FOLDER}/{path.name}"
        fix = "write it with protoc --include_imports --descriptor_set_out"
        try:
            if not path.resolve().is_relative_to(directory.resolve()):
                problems.append(SpecProblem(name, 1, "", "a file of the directory", "a link out of it", fix))
                continue
            found = FileDescriptorSet.FromString(path.read_bytes()).file
        except (DecodeError, OSError) as error:
            problems.append(SpecProblem(name, 1, "", "a FileDescriptorSet", str(error)[:120], fix))
            continue
        for file in found:
            data = file.SerializeToString(deterministic=True)
            if _files.setdefault(file.name, data) != data:
                got = f"another {file.name} than one loaded before"
                problems.append(SpecProblem(name, 1, "", "one content for one name", got, "rename the file"))
    return problems


def described_files() -> Iterator[FileDescriptorProto]:
    """The files known so far, in the order in which they came: imports before what imports them."""
    for data in _files.values():
        yield FileDescriptorProto.FromString(data)


def described_version() -> int:
    """A number that grows with each file, for what is remembered of them."""
    return len(_files)
