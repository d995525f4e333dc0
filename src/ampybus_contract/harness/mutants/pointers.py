"""Bindings that mistake what a pointer stands for."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from ampybus_contract.bindings.pointers import Pointers
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.errors import BlobError
from ampybus_contract.harness.mutants.build import Build, Mutant


class SkipsTheHash(Pointers):
    """Takes whatever lies under the name."""

    async def incoming(self, envelope: Envelope) -> Envelope:
        ref = envelope.headers.get(self.contract.pointer_headers[0])
        if ref is None:
            return envelope
        return self.content(envelope, Path(url2pathname(urlsplit(ref).path)).read_bytes())


class TakesAbsentForEmpty(Pointers):
    """Hands out nothing where nothing is."""

    async def incoming(self, envelope: Envelope) -> Envelope:
        try:
            return await super().incoming(envelope)
        except BlobError:
            return self.content(envelope, b"")


class GivesUpAtOnce(Pointers):
    """Takes an absent object for one that will never be there."""

    async def incoming(self, envelope: Envelope) -> Envelope:
        try:
            return await super().incoming(envelope)
        except BlobError as error:
            raise BlobError(str(error), passing=False) from error


class SendsWhole(Pointers):
    """Stores nothing."""

    async def outgoing(self, envelope: Envelope) -> Envelope:
        return envelope


def mutants(_contract: Contract) -> list[Mutant]:
    """Every mutant of the pointer pattern."""
    return [
        Mutant("skips the hash of a stored object", "BIG-04", _over(SkipsTheHash)),
        Mutant("sends a payload over the limit whole", "BIG-04", _over(SendsWhole)),
        Mutant("takes an absent object for empty", "BIG-05", _over(TakesAbsentForEmpty)),
        Mutant("gives up on an absent object at once", "BIG-05", _over(GivesUpAtOnce)),
    ]


def _over(kind: type[Pointers]) -> Build:
    """A binding with another kind of pointers."""

    class Pointing(ReferenceBinding):
        def pointers_below(self, base: str) -> Pointers:
            return kind(self.contract, base)

    return Pointing
