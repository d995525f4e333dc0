"""The directory of a run in which bindings store large payloads, as the harness sees it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from ampybus_contract.contract import Contract
from ampybus_contract.envelope.digest import sha256_of
from ampybus_contract.errors import BindingCrashError


class Objects:
    """Stores, spoils and takes away objects without the binding."""

    def __init__(self, contract: Contract, base: str) -> None:
        self.contract = contract
        self.base = base.rstrip("/") + "/"

    def put(self, name: str, payload: bytes) -> dict[str, str]:
        """Store an object; gives the headers of a pointer to it."""
        self._path(self.base + name).write_bytes(payload)
        ref, digest, size = self.contract.pointer_headers
        return {
            ref: self.base + name,
            digest: sha256_of(payload),
            size: str(len(payload)),
        }

    def replace(self, pointer: Mapping[str, str]) -> None:
        """Put other bytes of the same size in the place of an object."""
        path = self._path(pointer[self.contract.pointer_headers[0]])
        path.write_bytes(path.read_bytes()[::-1])

    def remove(self, pointer: Mapping[str, str]) -> None:
        """Take an object away."""
        self._path(pointer[self.contract.pointer_headers[0]]).unlink()

    def _path(self, ref: str) -> Path:
        """Raises BindingCrashError for an object that is not below the base."""
        if not ref.startswith(self.base):
            raise BindingCrashError(
                f"BINDING expected an object below endpoint.blobs, got {ref!r}. Fix: store it there"
            )
        return Path(url2pathname(urlsplit(ref).path))
