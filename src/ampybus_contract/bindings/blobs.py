"""The pointer pattern: payloads too large for the bus lie in an object store (contract section 9, D18)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, from_url

from ampybus_contract.contract import Contract
from ampybus_contract.envelope.digest import sha256_of
from ampybus_contract.errors import BlobError


class BlobStore:
    """Puts payloads below one base URI and fetches them again, verified.

    ``base`` is a directory (``file:///…``), a bucket with an optional prefix (``s3://bucket/prefix``), or
    any other URL that obstore reads; ``options`` go to it (endpoint, region, keys). Only objects below the
    base are fetched, so that a pointer cannot make a consumer read from anywhere else. A directory is read
    and written at once, without another thread: virtual time does not wait for one.
    """

    def __init__(self, contract: Contract, base: str, **options: Any) -> None:
        self.ref, self.hash, self.size = contract.pointer_headers
        self.limit = contract.payload.decoded_at_most
        self.base = base.rstrip("/") + "/"
        self._store = from_url(self.base, **options)
        self._directory = isinstance(self._store, LocalStore)

    async def put(self, name: str, payload: bytes) -> dict[str, str]:
        """Store a payload under a name and give the pointer headers. Raises BlobError, to be tried again."""
        try:
            if self._directory:
                stored = obstore.put(self._store, name, payload)
            else:
                stored = await obstore.put_async(self._store, name, payload)
        except (BaseError, OSError) as error:
            raise BlobError(_sentence("to store", self.base + name, error), passing=True) from error
        version = stored.get("version")
        return {
            self.ref: f"{self.base}{name}" + (f"?versionId={version}" if version else ""),
            self.hash: sha256_of(payload),
            self.size: str(len(payload)),
        }

    async def fetch(self, headers: Mapping[str, str]) -> bytes:
        """The payload that pointer headers name.

        Raises BlobError: passing where the object is not there (yet) or the store does not answer, lasting
        where the pointer leaves the store, or size or hash differ.
        """
        ref = headers[self.ref]
        parts = urlsplit(ref)
        address = parts._replace(query="", fragment="").geturl()
        name = address.removeprefix(self.base)
        if not address.startswith(self.base) or ".." in name.split("/"):
            raise BlobError(
                f"BLOB expected an object below {self.base}, got {ref!r}. Fix: store it there", passing=False
            )
        if int(headers[self.size]) > self.limit:
            raise BlobError(
                f"BLOB expected at most {self.limit} bytes, got {headers[self.size]} of {ref}", passing=False
            )
        version = parse_qs(parts.query).get("versionId", [None])[0]
        try:
            size, payload = await self._read(name, version, int(headers[self.size]))
        except (BaseError, OSError) as error:
            raise BlobError(_sentence("to fetch", ref, error), passing=True) from error
        if size != int(headers[self.size]):
            raise BlobError(f"BLOB expected {headers[self.size]} bytes, got {size} of {ref}", passing=False)
        if sha256_of(payload) != headers[self.hash]:
            raise BlobError(
                f"BLOB expected {headers[self.hash]}, got {sha256_of(payload)} of {ref}", passing=False
            )
        return payload

    async def _read(self, name: str, version: str | None, wanted: int) -> tuple[int, bytes]:
        """The size of an object, and its bytes where that is the wanted one."""
        if self._directory:
            here = obstore.get(self._store, name)
            size = here.meta["size"]
            return size, bytes(here.bytes()) if size == wanted else b""
        found = await obstore.get_async(self._store, name, options={"version": version} if version else None)
        size = found.meta["size"]
        return size, bytes(await found.bytes_async()) if size == wanted else b""


def _sentence(what: str, ref: str, error: Exception) -> str:
    reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    return f"BLOB expected {what} {ref}, got {reason}. Fix: check store, name and rights"
