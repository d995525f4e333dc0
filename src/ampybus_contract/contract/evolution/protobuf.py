"""The protobuf types that a spec brings along, as data that can be compared: one text a field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)
from google.protobuf.message import DecodeError

from ampybus_contract.contract.descriptors import FOLDER, MOST_BYTES
from ampybus_contract.errors import SpecProblem

Types = dict[str, dict[str, str]]


def messages(directories: Iterable[Path]) -> tuple[Types, list[SpecProblem]]:
    """Each message and enum in ``proto/*.binpb`` with its fields by number, and what cannot be read."""
    types: Types = {}
    problems: list[SpecProblem] = []
    for directory in directories:
        for path in sorted((directory / FOLDER).glob("*.binpb")):
            try:
                types |= dict(_types(_read(path, directory)))
            except (DecodeError, OSError, ValueError) as error:
                fix = "write it with protoc --include_imports --descriptor_set_out"
                name, got = f"{FOLDER}/{path.name}", str(error)[:120]
                problems.append(SpecProblem(name, 1, "", "a FileDescriptorSet", got, fix))
    return types, problems


def _read(path: Path, directory: Path) -> Iterable[FileDescriptorProto]:
    if not path.resolve().is_relative_to(directory.resolve()):
        raise ValueError("a link out of the directory")
    if not path.is_file() or path.stat().st_size > MOST_BYTES:
        raise ValueError(f"no file, or more than {MOST_BYTES} bytes")
    return FileDescriptorSet.FromString(path.read_bytes()).file


def _types(files: Iterable[FileDescriptorProto]) -> Iterator[tuple[str, dict[str, str]]]:
    for file in files:
        inside = f"{file.package}." if file.package else ""
        for enum in file.enum_type:
            yield inside + enum.name, _values(enum)
        for message in file.message_type:
            yield from _message(message, inside)


def _message(message: DescriptorProto, inside: str) -> Iterator[tuple[str, dict[str, str]]]:
    name = inside + message.name
    oneofs: Any = message.oneof_decl
    yield name, {str(field.number): _field(field, oneofs) for field in message.field}
    for enum in message.enum_type:
        yield f"{name}.{enum.name}", _values(enum)
    for nested in message.nested_type:
        yield from _message(nested, f"{name}.")


def _field(field: FieldDescriptorProto, oneofs: Any) -> str:
    kind = (
        field.type_name.lstrip(".")
        or FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    )
    words = [FieldDescriptorProto.Label.Name(field.label).removeprefix("LABEL_").lower(), kind, field.name]
    if field.proto3_optional:
        words.append("(presence)")
    elif field.HasField("oneof_index"):
        words.append(f"(one of {oneofs[field.oneof_index].name})")
    return " ".join(words)


def _values(enum: EnumDescriptorProto) -> dict[str, str]:
    return {str(value.number): value.name for value in enum.value}
