"""The hash of a compiled payload type (contract section 6.2, D13)."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from ampybus_contract.envelope.registry import message_type


@cache
def schema_hash(fqdn: str) -> str | None:
    """``sha256:`` and 64 hex digits over the compiled schema of a type, or None where there is no such type.

    Hashed is the deterministic serialization of a FileDescriptorSet with the type's file and all that it
    imports, sorted by name, without source positions and JSON names, which compilers add at will.
    """
    kind = message_type(fqdn)
    if kind is None:
        return None
    files: dict[str, FileDescriptorProto] = {}
    _collect(kind.DESCRIPTOR.file, files)
    whole = FileDescriptorSet(file=[files[name] for name in sorted(files)])
    return f"sha256:{hashlib.sha256(whole.SerializeToString(deterministic=True)).hexdigest()}"


def _collect(file: Any, files: dict[str, FileDescriptorProto]) -> None:
    if file.name in files:
        return
    proto = files[file.name] = FileDescriptorProto()
    file.CopyToProto(proto)
    proto.ClearField("source_code_info")
    waiting = list(proto.message_type)
    while waiting:
        message = waiting.pop()
        waiting += message.nested_type
        for field in (*message.field, *message.extension):
            field.ClearField("json_name")
    for field in proto.extension:
        field.ClearField("json_name")
    for imported in file.dependencies:
        _collect(imported, files)
