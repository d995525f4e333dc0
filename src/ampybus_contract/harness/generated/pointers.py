"""Faults of large payloads: of what is stored, of the pointer to it, and of what is fetched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.envelope.digest import sha256_of
from ampybus_contract.errors import BlobError
from ampybus_contract.harness.generated.fault import MESSAGE, Change, Fault, Strike

CHAPTER = "Large payloads"
Method = Callable[..., Any]
SENT = "it is about pointers, and they have no payload on the wire"


def faults(contract: Contract) -> Iterator[Fault]:
    """Every fault of pointers."""
    for name in contract.pointer_headers:
        said = f"leaves {name} out of a pointer"
        yield _outgoing("drop", f"pointer.{name}", said, partial(_without, name))
        said = f"leaves {name} in what it hands over"
        yield _fault("ignore", f"content.{name}", said, partial(_kept, name))
    ref, digest, size = contract.pointer_headers
    for subject, says, name, rewrite in (
        ("size.one_more", "counts a byte too many", size, lambda text: str(int(text) + 1)),
        ("size.padded", "pads the size", size, lambda text: f"{text:0>9}"),
        ("hash.bare", "writes the hash without its name", digest, lambda text: text.partition(":")[2]),
        ("hash.empty", "writes the hash of nothing", digest, lambda text: sha256_of(b"")),
        ("ref.path", "writes a reference without its scheme", ref, lambda text: text.partition("//")[2]),
        ("ref.lower", "lower-cases the reference", ref, lambda text: text.lower().replace("tmp", "TMP")),
    ):
        yield _outgoing("alter", f"pointer.{subject}", says, partial(_rewritten, name, rewrite))
    said = "keeps the payload beside the pointer"
    yield _fault("ignore", "payload", said, _payload_kept)
    for operator, subject, says, rename in (
        (
            "swap",
            "name.key",
            "stores payloads of one key under one name",
            lambda item: item.headers["partition_key"],
        ),
        ("swap", "name.topic", "stores payloads of one topic under one name", lambda item: item.topic),
        (
            "cut",
            "name",
            "stores payloads under the first signs of the id",
            lambda item: item.headers["message_id"][:8],
        ),
    ):
        yield _fault(operator, subject, says, partial(_stored_as, rename))
    for operator, subject, says, stored in (
        ("cut", "object.last_byte", "stores all but the last byte", lambda data: data[:-1]),
        ("cut", "object.1_MiB", "stores the first MiB", lambda data: data[: 1 << 20]),
        ("drop", "object", "stores nothing", None),
    ):
        yield _fault(operator, subject, says, partial(_stored, stored))
    for check in ("hash", "size"):
        said = f"does not compare the {check} of what it fetches"
        yield _fault("ignore", f"check.{check}", said, partial(_unchecked, check))
    for operator, subject, says, change in (
        ("drop", "content", "hands large messages over without their payload", lambda data: b""),
        (
            "cut",
            "content.last_byte",
            "hands large payloads over without their last byte",
            lambda data: data[:-1],
        ),
        ("cut", "content.1_MiB", "hands over the first MiB", lambda data: data[: 1 << 20]),
        ("alter", "content", "flips a bit of large payloads", lambda data: data[:-1] + bytes([data[-1] ^ 1])),
    ):
        yield _incoming(operator, subject, says, partial(_with_payload, change))
    said = "loses unknown headers of large messages"
    known = frozenset(contract.headers)
    yield _incoming("drop", "unknown", said, partial(_only, known))
    said = "hands pointers over as they are"
    yield _fault("ignore", "content", said, _not_fetched)
    said = "takes an object that is not there for an empty payload"
    yield _fault("alter", "absent.empty", said, _absent_is_empty)
    said = "gives up at once on an object that is not there yet"
    yield _fault("drop", "absent.retry", said, _absent_is_final)
    said = "retries an object that differs"
    yield _fault("repeat", "differs.retry", said, _difference_passes)
    for operator, subject, limit in (
        ("alter", "limit.half", contract.payload.sent_below // 2),
        ("alter", "limit.one_more", contract.payload.sent_below + 1),
        ("ignore", "limit", 1 << 40),
    ):
        said = f"stores payloads from {limit} bytes on"
        yield _fault(operator, subject, said, partial(_from, limit))


def _fault(operator: str, subject: str, says: str, install: Any) -> Fault:
    unfit = tuple((f"size={name}", SENT) for name in ("below_64", "above_1_KiB", "above_4_KiB"))
    return Fault("pointer", operator, subject, says, CHAPTER, MESSAGE, install, unfit=unfit)


def _outgoing(operator: str, subject: str, says: str, change: Change) -> Fault:
    return _fault(operator, subject, says, partial(_changed, "outgoing", change))


def _incoming(operator: str, subject: str, says: str, change: Change) -> Fault:
    return _fault(operator, subject, says, partial(_changed, "incoming", change))


def _set(item: Envelope, name: str, text: str | None) -> Envelope:
    return replace(item, headers=item.headers.with_(**{name: text}))


def _without(name: str, item: Envelope) -> Envelope:
    return _set(item, name, None)


def _with_payload(change: Callable[[bytes], bytes], item: Envelope) -> Envelope:
    return replace(item, payload=change(item.payload))


def _rewritten(name: str, rewrite: Callable[[str], str], item: Envelope) -> Envelope:
    return _set(item, name, rewrite(item.headers[name]))


def _only(known: frozenset[str], item: Envelope) -> Envelope:
    gone: dict[str, str | None] = {name: None for name in item.headers if name not in known}
    return replace(item, headers=item.headers.with_(**gone))


def on_pointers(strike: Strike, binding: ReferenceBinding, patch: Callable[[Any], None]) -> None:
    """Patch what stores and fetches, once the binding made it."""

    def below(method: Method, base: str) -> Any:
        made = method(base)
        patch(made)
        return made

    strike.around(binding, "pointers_below", below)


def _changed(way: str, change: Change, strike: Strike, binding: ReferenceBinding) -> None:
    def patch(pointers: Any) -> None:
        async def swap(method: Method, envelope: Envelope) -> Envelope:
            made: Envelope = await method(envelope)
            struck = made is not envelope and strike(envelope)
            return strike.changed(change, made) if struck else made

        strike.around(pointers, way, swap)

    on_pointers(strike, binding, patch)


def _kept(name: str, strike: Strike, binding: ReferenceBinding) -> None:
    def patch(pointers: Any) -> None:
        async def incoming(method: Method, envelope: Envelope) -> Envelope:
            made: Envelope = await method(envelope)
            struck = made is not envelope and strike(envelope)
            return _set(made, name, envelope.headers[name]) if struck else made

        strike.around(pointers, "incoming", incoming)

    on_pointers(strike, binding, patch)


def _payload_kept(strike: Strike, binding: ReferenceBinding) -> None:
    def patch(pointers: Any) -> None:
        async def outgoing(method: Method, envelope: Envelope) -> Envelope:
            made: Envelope = await method(envelope)
            struck = made is not envelope and strike(envelope)
            return replace(made, payload=envelope.payload[:64]) if struck else made

        strike.around(pointers, "outgoing", outgoing)

    on_pointers(strike, binding, patch)


def _on_put(
    strike: Strike, binding: ReferenceBinding, wrapper: Callable[[Method, str, bytes, Envelope], Any]
) -> None:
    """Have a wrapper store the payload of an envelope with which the fault shows."""

    def patch(pointers: Any) -> None:
        storing: list[Envelope] = []

        async def outgoing(method: Method, envelope: Envelope) -> Any:
            storing[:] = [envelope]
            return await method(envelope)

        async def put(method: Method, name: str, payload: bytes) -> Any:
            if strike(storing[0]):
                return await wrapper(method, name, payload, storing[0])
            return await method(name, payload)

        strike.around(pointers, "outgoing", outgoing)
        strike.around(pointers.store, "put", put)

    on_pointers(strike, binding, patch)


def _stored_as(rename: Callable[[Envelope], str], strike: Strike, binding: ReferenceBinding) -> None:
    async def put(method: Method, name: str, payload: bytes, envelope: Envelope) -> Any:
        other = "".join(sign if sign.isalnum() else "-" for sign in rename(envelope))
        return await method(f"{name.rpartition('/')[0]}/{other}", payload)

    _on_put(strike, binding, put)


def _stored(change: Callable[[bytes], bytes] | None, strike: Strike, binding: ReferenceBinding) -> None:
    async def put(method: Method, name: str, payload: bytes, envelope: Envelope) -> Any:
        written = await method(name if change else f"{name}-lost", change(payload) if change else b"")
        headers = {one: text.removesuffix("-lost") for one, text in written.items()}
        return headers | {one: text for one, text in _of(payload, headers).items()}

    _on_put(strike, binding, put)


def _of(payload: bytes, headers: dict[str, str]) -> dict[str, str]:
    """What a pointer to this payload says of it: the true hash and size."""
    _, digest, size = headers
    return {digest: sha256_of(payload), size: str(len(payload))}


def _unchecked(check: str, strike: Strike, binding: ReferenceBinding) -> None:
    def patch(pointers: Any) -> None:
        store = pointers.store

        async def incoming(method: Method, envelope: Envelope) -> Any:
            if store.ref not in envelope.headers or not strike(envelope):
                return await method(envelope)
            try:
                return await method(envelope)
            except BlobError as error:
                if error.passing:
                    raise
                name = envelope.headers[store.ref].partition("?")[0].removeprefix(store.base)
                size, _ = await store._read(name, None, -1)
                if check == "hash" and size != int(envelope.headers[store.size]):
                    raise
                _, payload = await store._read(name, None, size)
                if check == "size" and sha256_of(payload) != envelope.headers[store.hash]:
                    raise
                return pointers.content(envelope, payload)

        strike.around(pointers, "incoming", incoming)

    on_pointers(strike, binding, patch)


def _not_fetched(strike: Strike, binding: ReferenceBinding) -> None:
    def patch(pointers: Any) -> None:
        async def incoming(method: Method, envelope: Envelope) -> Any:
            pointer = pointers.store.ref in envelope.headers
            return envelope if pointer and strike(envelope) else await method(envelope)

        strike.around(pointers, "incoming", incoming)

    on_pointers(strike, binding, patch)


def _on_blob_error(
    strike: Strike, binding: ReferenceBinding, instead: Callable[[Any, Envelope, BlobError], Any]
) -> None:
    def patch(pointers: Any) -> None:
        async def incoming(method: Method, envelope: Envelope) -> Any:
            try:
                return await method(envelope)
            except BlobError as error:
                if strike(envelope):
                    return instead(pointers, envelope, error)
                raise

        strike.around(pointers, "incoming", incoming)

    on_pointers(strike, binding, patch)


def _absent_is_empty(strike: Strike, binding: ReferenceBinding) -> None:
    def instead(pointers: Any, envelope: Envelope, error: BlobError) -> Envelope:
        if not error.passing:
            raise error
        content: Envelope = pointers.content(envelope, b"")
        return content

    _on_blob_error(strike, binding, instead)


def _absent_is_final(strike: Strike, binding: ReferenceBinding) -> None:
    def instead(pointers: Any, envelope: Envelope, error: BlobError) -> Envelope:
        raise BlobError(str(error), passing=False)

    _on_blob_error(strike, binding, instead)


def _difference_passes(strike: Strike, binding: ReferenceBinding) -> None:
    def instead(pointers: Any, envelope: Envelope, error: BlobError) -> Envelope:
        raise BlobError(str(error), passing=True)

    _on_blob_error(strike, binding, instead)


def _from(limit: int, strike: Strike, binding: ReferenceBinding) -> None:
    def patch(pointers: Any) -> None:
        right = pointers.contract

        async def outgoing(method: Method, envelope: Envelope) -> Any:
            if strike(envelope):
                pointers.contract = replace(right, payload=replace(right.payload, sent_below=limit))
            try:
                return await method(envelope)
            finally:
                pointers.contract = right

        strike.around(pointers, "outgoing", outgoing)

    on_pointers(strike, binding, patch)
