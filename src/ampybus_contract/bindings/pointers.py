"""Payloads too large for the bus: stored on the way out, fetched and verified on the way in (D18)."""

from __future__ import annotations

from ampybus_contract.bindings.blobs import BlobStore
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope


class Pointers:
    """Swaps envelopes for pointer envelopes and back, over the object store below one base URI."""

    def __init__(self, contract: Contract, base: str) -> None:
        self.contract = contract
        self.store = BlobStore(contract, base)

    async def outgoing(self, envelope: Envelope) -> Envelope:
        """A pointer to the stored payload where its sent size reaches the limit, else the envelope itself.

        Raises BlobError where it cannot be stored.
        """
        if len(envelope.payload) < self.contract.payload.sent_below:
            return envelope
        name = "/".join([*envelope.topic.split(".")[1:3], envelope.headers["message_id"].lower()])
        headers = await self.store.put(name, envelope.payload)
        return Envelope(envelope.topic, envelope.headers.with_(**headers), b"")

    async def incoming(self, envelope: Envelope) -> Envelope:
        """What a pointer envelope stands for: the payload that was stored, without the pointer's headers.

        Any other envelope is given as it is. Raises BlobError as ``BlobStore.fetch``.
        """
        if not all(name in envelope.headers for name in self.contract.pointer_headers):
            return envelope
        return self.content(envelope, await self.store.fetch(envelope.headers))

    def content(self, envelope: Envelope, payload: bytes) -> Envelope:
        """An envelope with the payload in the pointer's place."""
        gone: dict[str, str | None] = dict.fromkeys(self.contract.pointer_headers)
        return Envelope(envelope.topic, envelope.headers.with_(**gone), payload)
