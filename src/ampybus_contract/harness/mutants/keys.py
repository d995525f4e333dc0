"""Bindings that make keys by a rule of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from zlib import crc32

from ampybus_contract.bindings.protocol import Endpoint
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.mutants.build import Mutant, lets, overlooks, sends, setting


class SubstitutesTheTopic(ReferenceBinding):
    """Puts the topic where the key is missing."""

    async def publish(self, envelope: Envelope) -> None:
        if "partition_key" in envelope.headers:
            await super().publish(envelope)
        else:
            keyed = envelope.headers.with_(partition_key=envelope.topic)
            await self.transport.send(replace(envelope, headers=keyed))


class SaltsKeys(ReferenceBinding):
    """Finds the partition of a key by a hash that each of its kind salts for itself."""

    lives = count()

    async def start(self, endpoint: Endpoint) -> None:
        await super().start(endpoint)
        producer = getattr(self.transport, "producer", None)
        if producer is not None:
            producer.partitioner = partial(_salted, next(self.lives))


def _salted(salt: int, key: bytes, partitions: Sequence[int], _available: Sequence[int]) -> int:
    return partitions[(crc32(key) + salt) % len(partitions)]


def mutants(_contract: Contract) -> list[Mutant]:
    """Every mutant of the chapter."""
    return [
        Mutant("swaps the parts of the key", "KEY-01", sends(_swapped)),
        Mutant(
            "accepts a key that the payload denies", "KEY-01", lets(lambda item: "not." in str(item.headers))
        ),
        Mutant("salts the hash of keys", "KEY-02", SaltsKeys),
        Mutant("substitutes the topic for a missing key", "KEY-03", SubstitutesTheTopic),
        Mutant(
            "joins the parts of a key blindly",
            "KEY-04",
            overlooks(lambda contract: [contract.key_requirements["separator"]]),
        ),
    ]


def _swapped(item: Envelope) -> Envelope:
    first, _, rest = item.headers["partition_key"].partition(".")
    return setting(partition_key=f"{rest}.{first}" if rest else first)(item)
