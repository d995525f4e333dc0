"""Payload types by full name, over ``ampy-proto`` (D6)."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

from google.protobuf import timestamp_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message import DecodeError as ProtobufDecodeError
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from ampybus_contract.contract import data_directory
from ampybus_contract.errors import DecodeError


@cache
def message_type(fqdn: str) -> type[Message] | None:
    """The class for a name such as ``ampy.bars.v1.Bar``, or None where ``ampy-proto`` has no such type."""
    package, _, name = fqdn.rpartition(".")
    parts = package.split(".")
    if len(parts) != 3 or parts[0] != "ampy":
        return None
    if not all(part.replace("_", "").isalnum() and part.isascii() for part in parts):
        return None
    module_name = f"{package}.{parts[1]}_pb2"
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError:
        return _provisional(fqdn)
    found = getattr(module, name, None)
    return found if isinstance(found, type) and issubclass(found, Message) else None


@cache
def _provisional(fqdn: str) -> type[Message] | None:
    """A type that only the spec has, from the compiled descriptors beside its ``.proto`` files (D8)."""
    pool = DescriptorPool()
    timestamp = FileDescriptorProto()
    timestamp_pb2.DESCRIPTOR.CopyToProto(timestamp)
    pool.Add(timestamp)
    for path in sorted((data_directory("spec") / "proto").glob("*.binpb")):
        for file in FileDescriptorSet.FromString(path.read_bytes()).file:
            pool.Add(file)
    try:
        return GetMessageClass(pool.FindMessageTypeByName(fqdn))
    except KeyError:
        return None


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
