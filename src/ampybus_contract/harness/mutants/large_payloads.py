"""Bindings that misread a size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.contract import Contract
from ampybus_contract.harness.mutants.build import Mutant, by, overlooks, sends, setting

UNLIMITED = 1 << 40


def mutants(_contract: Contract) -> list[Mutant]:
    """Every mutant of the chapter."""
    return [
        Mutant("compresses at the bound already", "BIG-01", by(_one_byte_early)),
        Mutant("sends large payloads plain", "BIG-01", overlooks(_compress)),
        Mutant("lets the broker cut the connection", "BIG-02", _counting_payloads_only),
        Mutant("omits blob_size", "BIG-03", sends(setting(blob_size=None))),
        Mutant(
            "accepts half a pointer",
            "BIG-03",
            overlooks(lambda contract: [contract.pointer_requirements["complete"]]),
        ),
        Mutant("has no cap on decompression", "BIG-06", by(_without_cap)),
    ]


def _one_byte_early(contract: Contract) -> Contract:
    payload = replace(contract.payload, compress_above=contract.payload.compress_above - 1)
    return replace(contract, payload=payload)


def _counting_payloads_only(transport: Any, contract: Contract) -> ReferenceBinding:
    """Knows that a broker has a size limit, and not that headers count."""
    transport.contract = replace(contract, nats=replace(contract.nats, max_payload_counts_headers=False))
    return ReferenceBinding(transport, contract)


def _without_cap(contract: Contract) -> Contract:
    return replace(contract, payload=replace(contract.payload, decoded_at_most=UNLIMITED))


def _compress(contract: Contract) -> list[str]:
    return [contract.payload.requirements["compress"]]
