"""Envelopes as accidents leave them: the same for the same seed, and no validator raises on any."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ampybus_contract.contract import default_contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.envelope.registry import message_type
from ampybus_contract.strategies import breaks, broken
from ampybus_contract.strategies.mangled import MANGLINGS, mangled
from ampybus_contract.validation import validate

CONTRACT = default_contract()
DOMAINS = [name for name, rule in CONTRACT.domains.items() if not rule.carries]


def valid(domain: str, seed: int) -> Envelope:
    spot = next(spot for spot in breaks() if spot.domain == domain)
    return broken(spot, seed).before


@pytest.mark.parametrize("domain", DOMAINS)
def test_validation_raises_on_no_accident(domain: str) -> None:
    met: set[str] = set()
    for seed in range(40):
        for name in MANGLINGS:
            made = mangled(valid(domain, seed), name, seed)
            assert made == mangled(valid(domain, seed), name, seed)
            if made is None:
                continue
            met.add(name)
            broken_musts = [item for item in validate(made) if item.level == "MUST"]
            assert broken_musts or name in {"flipped", "cut", "far times"}
    assert met >= set(MANGLINGS) - {"far times"}


def test_instants_beyond_the_calendar_break_the_key_and_raise_nothing() -> None:
    kind = message_type("ampy.fundamentals.v1.FundamentalsSnapshot")
    assert kind is not None
    like = next(
        item
        for seed in range(100)
        if (item := valid("fundamentals", seed)).headers["schema_fqdn"] == kind.DESCRIPTOR.full_name
        and "content_encoding" not in item.headers
    )
    for seconds in (1_751_068_800_000, -(2**63), 2**63 - 1):
        message = kind()
        message.ParseFromString(like.payload)
        del message.lines[:]  # type: ignore[attr-defined]
        message.lines.add().period_end.seconds = seconds  # type: ignore[attr-defined]
        found = validate(Envelope(like.topic, like.headers, message.SerializeToString()))
        assert [item.requirement for item in found] == ["PKY-01"]
    message.lines[0].period_end.FromDatetime(datetime(2025, 6, 28, tzinfo=UTC))  # type: ignore[attr-defined]
    symbol, _, source = like.headers["partition_key"].split("|")
    dated = like.headers.with_(partition_key=f"{symbol}|2025-06-28|{source}")
    assert validate(Envelope(like.topic, dated, message.SerializeToString())) == []
