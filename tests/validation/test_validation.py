"""Rules that goldens do not hold: sizes, bombs, the DLQ, hints."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import replace

import pytest

from ampybus_contract import Envelope, Headers, InvalidEnvelopeError, check, validate
from ampybus_contract.contract import default_contract
from ampybus_contract.envelope.registry import from_json


def ids(envelope: Envelope) -> set[str]:
    return {item.requirement for item in validate(envelope)}


def order_of_size(size: int, envelope: Envelope) -> Envelope:
    """An order whose payload has exactly ``size`` bytes."""
    fixed = len(from_json("ampy.orders.v1.OrderRequest", {"client_order_id": "c", "venue": "v" * 100_000}))
    body = {"client_order_id": "c", "venue": "v" * (size - fixed + 100_000)}
    payload = from_json("ampy.orders.v1.OrderRequest", body)
    assert len(payload) == size
    headers = envelope.headers.with_(
        schema_fqdn="ampy.orders.v1.OrderRequest", partition_key="c", dedupe_key="c"
    )
    return Envelope("ampy.dev.orders.v1.requests", headers, payload)


@pytest.mark.parametrize(("offset", "found"), [(-1, set()), (0, set()), (1, {"SIZ-01"})])
def test_compression_is_asked_for_above_the_threshold_only(
    bars: Envelope, offset: int, found: set[str]
) -> None:
    assert ids(order_of_size(default_contract().payload.compress_above + offset, bars)) == found


@pytest.mark.parametrize(("offset", "found"), [(-1, set()), (0, {"SIZ-02"})])
def test_the_limit_is_on_the_bytes_as_sent(bars: Envelope, offset: int, found: set[str]) -> None:
    limit = default_contract().payload.sent_below
    assert ids(order_of_size(limit + offset, bars)) - {"SIZ-01"} == found


def test_a_decompression_bomb_is_a_finding(bars: Envelope) -> None:
    bomb = gzip.compress(bytes(default_contract().payload.decoded_at_most + 1))
    assert ids(Envelope(bars.topic, bars.headers.with_(content_encoding="gzip"), bomb)) == {"PAY-04"}


def test_an_unknown_encoding_is_a_finding(bars: Envelope) -> None:
    assert ids(replace(bars, headers=bars.headers.with_(content_encoding="zstd"))) == {"PAY-04"}


def test_a_dlq_envelope_carries_reason_origin_and_hash(bars: Envelope) -> None:
    digest = f"sha256:{hashlib.sha256(bars.payload).hexdigest()}"
    headers = bars.headers.with_(
        dlq_reason="decode_error: x", dlq_origin_topic=bars.topic, dlq_payload_hash=digest
    )
    dead = Envelope("ampy.prod.dlq.v1.bars", headers, bars.payload)
    assert validate(dead) == []
    assert ids(replace(dead, payload=b"other")) == {"DLT-01"}
    assert ids(replace(dead, headers=headers.with_(dlq_reason=None))) == {"DLT-01"}


def test_underscores_for_dots_get_the_topic_that_was_meant() -> None:
    findings = validate(Envelope("ampy.dev_bars_v1_XNAS_AAPL", Headers({}), b""))
    hints = [item.hint for item in findings if item.where == "topic"]
    assert hints == ["did you mean ampy.dev.bars.v1.XNAS.AAPL?"]


def test_all_findings_are_given_at_once(bars: Envelope) -> None:
    headers = bars.headers.with_(run_id=None, produced_at="2025-09-05T19:31:01+00:00", partition_key="A.X")
    assert ids(replace(bars, headers=headers)) == {"HDR-01", "HDR-07", "PKY-01"}


def test_check_raises_for_a_must_and_not_for_a_should(bars: Envelope) -> None:
    upper = bars.headers["message_id"].upper()
    check(replace(bars, headers=bars.headers.with_(message_id=upper)))
    with pytest.raises(InvalidEnvelopeError, match="HDR-01"):
        check(replace(bars, headers=bars.headers.with_(source=None)))
