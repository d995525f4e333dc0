"""Bindings that change headers or payloads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace

from ampybus_contract.bindings.protocol import Subscription
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.transport import Incoming, Transport
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.envelope.registry import decode
from ampybus_contract.harness.mutants.build import (
    Change,
    ChangesSends,
    Mutant,
    delivers,
    overlooks,
    sends,
    setting,
)

KEBAB = "run-id"


class PassesUnknownEncodings(ReferenceBinding):
    """Hands the bytes to the handler, whatever encoding their header names."""

    def poison(self, envelope: Envelope) -> tuple[str, str] | None:
        encoding = envelope.headers.get("content_encoding")
        unknown = encoding is not None and encoding not in self.contract.payload.encodings
        return None if unknown else super().poison(envelope)


@dataclass
class SpeaksKebab(ChangesSends):
    """Writes a header in another way on the wire than the contract, and reads it so, too."""

    async def consume(self, subscription: Subscription) -> AsyncIterator[Incoming]:
        return self._restored(await super().consume(subscription))

    async def _restored(self, messages: AsyncIterator[Incoming]) -> AsyncIterator[Incoming]:
        async for incoming in messages:
            yield replace(incoming, envelope=_renamed(incoming.envelope, KEBAB, KEBAB.replace("-", "_")))


def mutants(contract: Contract) -> list[Mutant]:
    """Every mutant of the chapter."""
    required = [name for name, rule in contract.headers.items() if rule.required]
    return [
        *(Mutant(f"drops {name}", "ENV-01", delivers(setting(**{name: None}))) for name in required),
        Mutant("alters producer", "ENV-01", delivers(setting(producer="bus-gateway@1"))),
        Mutant("makes UUIDv4 ids", "ENV-02", sends(_version_4)),
        Mutant("reuses an id", "ENV-02", _reusing),
        Mutant("writes an offset", "ENV-03", delivers(_time(lambda text: text.replace("Z", "+00:00")))),
        Mutant("writes local time", "ENV-03", delivers(_time(lambda text: text.replace("Z", "")))),
        Mutant("writes v1 for a version", "ENV-04", sends(setting(schema_version="v1"))),
        Mutant("accepts any version", "ENV-04", overlooks(version_requirements)),
        Mutant("rebuilds headers from the known set", "ENV-05", delivers(_known_only(contract))),
        Mutant(
            "truncates at 64 KiB",
            "ENV-06",
            delivers(lambda item: replace(item, payload=item.payload[:65536])),
        ),
        Mutant("serializes anew", "ENV-06", delivers(_serialized_anew)),
        Mutant("publishes unknown encodings", "ENV-07", overlooks(encoding_requirements)),
        Mutant("passes unknown encodings through", "ENV-07", PassesUnknownEncodings),
        Mutant("renames a header to kebab-case", "ENV-08", _kebab),
    ]


def version_requirements(contract: Contract) -> list[str]:
    """What a schema_version must keep: its form, and the agreement of the majors."""
    return [contract.headers["schema_version"].format, contract.payload.requirements["version"]]


def encoding_requirements(contract: Contract) -> list[str]:
    """What a content_encoding must keep."""
    return [contract.payload.requirements["encoding"]]


def _reusing(transport: Transport, contract: Contract) -> ReferenceBinding:
    first: list[str] = []

    def reuse(item: Envelope) -> Envelope:
        first.append(item.headers["message_id"])
        return setting(message_id=first[0])(item)

    return ReferenceBinding(ChangesSends(transport, reuse), contract)


def _kebab(transport: Transport, contract: Contract) -> ReferenceBinding:
    def rename(item: Envelope) -> Envelope:
        return _renamed(item, KEBAB.replace("-", "_"), KEBAB)

    return ReferenceBinding(SpeaksKebab(transport, rename), contract)


def _renamed(item: Envelope, old: str, new: str) -> Envelope:
    return setting(**{old: None, new: item.headers.get(old)})(item)


def _version_4(item: Envelope) -> Envelope:
    text = item.headers["message_id"]
    return setting(message_id=f"{text[:14]}4{text[15:]}")(item)


def _time(rewrite: Callable[[str], str]) -> Change:
    return lambda item: setting(produced_at=rewrite(item.headers["produced_at"]))(item)


def _known_only(contract: Contract) -> Change:
    def rebuild(item: Envelope) -> Envelope:
        return setting(**{name: None for name in item.headers if name not in contract.headers})(item)

    return rebuild


def _serialized_anew(item: Envelope) -> Envelope:
    if "content_encoding" in item.headers:
        return item
    message = decode(item.headers["schema_fqdn"], item.payload)
    return replace(item, payload=message.SerializeToString(deterministic=True))
