"""Payload types by full name, over ``ampy-proto`` (D6)."""

from __future__ import annotations

import importlib
from functools import cache, lru_cache
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message import DecodeError as ProtobufDecodeError
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from ampybus_contract.contract import data_directory
from ampybus_contract.contract.descriptors import add_descriptors, described_files, described_version
from ampybus_contract.errors import DecodeError


def message_type(fqdn: str) -> type[Message] | None:
    """The class for a name such as ``ampy.bars.v1.Bar``, or None where nothing describes such a type.

    ``ampy-proto`` goes first; then what the specs loaded so far bring along (D8).
    """
    found = _packaged(fqdn)
    if found is None:
        _shipped()
        found = _described(fqdn, described_version())
    return found


@cache
def _shipped() -> None:
    """Make the provisional types known also where no contract was loaded yet."""
    add_descriptors(data_directory("spec"))


@cache
def _packaged(fqdn: str) -> type[Message] | None:
    package, _, name = fqdn.rpartition(".")
    parts = package.split(".")
    if len(parts) != 3 or parts[0] != "ampy":
        return None
    if not all(part.replace("_", "").isalnum() and part.isascii() for part in parts):
        return None
    try:
        module = importlib.import_module(f"{package}.{parts[1]}_pb2")
    except ModuleNotFoundError:
        return None
    found = getattr(module, name, None)
    return found if isinstance(found, type) and issubclass(found, Message) else None


@lru_cache(4096)
def _described(fqdn: str, version: int) -> type[Message] | None:
    try:
        return GetMessageClass(_pool(version).FindMessageTypeByName(fqdn))
    except KeyError:
        return None


@lru_cache(2)
def _pool(_version: int) -> DescriptorPool:
    """A pool of what specs describe, with the files of protobuf and ``ampy-proto`` that it imports."""
    pool = DescriptorPool()
    known: set[str] = set()
    waiting = list(described_files())
    own = {file.name for file in waiting}

    def add(file: FileDescriptorProto) -> None:
        if file.name in known:
            return
        known.add(file.name)
        for name in file.dependency:
            if name not in own:
                add(_imported(name))
            else:
                add(next(other for other in waiting if other.name == name))
        pool.Add(file)

    for file in waiting:
        try:
            add(file)
        except (TypeError, KeyError, ImportError):
            continue
    return pool


def _imported(name: str) -> FileDescriptorProto:
    """A file of protobuf or ``ampy-proto`` by its name. Raises ImportError for any other."""
    if not name.startswith(("google/protobuf/", "ampy/")) or not name.endswith(".proto"):
        raise ImportError(name)
    module = importlib.import_module(name.removesuffix(".proto").replace("/", ".") + "_pb2")
    file = FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(file)
    return file


def decode(fqdn: str, payload: bytes) -> Message:
    """Decode uncompressed bytes. Raises DecodeError for an unknown type or bytes that do not parse."""
    kind = message_type(fqdn)
    if kind is None:
        raise DecodeError(f"DECODE expected a payload type, got {fqdn!r}. Fix: name a type of ampy-proto")
    message = kind()
    try:
        message.ParseFromString(payload)
    except (ProtobufDecodeError, ValueError) as error:
        raise DecodeError(f"DECODE expected {fqdn}, got {error}. Fix: serialize that type") from error
    return message


def from_json(fqdn: str, value: Any) -> bytes:
    """Protobuf JSON to deterministic wire bytes. Raises DecodeError where it does not fit the type."""
    kind = message_type(fqdn)
    if kind is None:
        raise DecodeError(f"DECODE expected a payload type, got {fqdn!r}. Fix: name a type of ampy-proto")
    try:
        return ParseDict(value, kind()).SerializeToString(deterministic=True)
    except (ParseError, TypeError, ValueError, RecursionError, AttributeError) as error:
        raise DecodeError(f"DECODE expected protobuf JSON of {fqdn}, got {error}. Fix: mend it") from error


def to_json(message: Message) -> dict[str, Any]:
    """The readable form of a message: protobuf JSON with the field names of the schema."""
    return MessageToDict(message, preserving_proto_field_name=True)
