"""Envelopes as a run of a producer makes them: many instruments, and nothing twice that differs in life."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator
from typing import Any

from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope, Headers, uuid7
from ampybus_contract.envelope.registry import from_json

_START_MS = 1_757_100_000_000


def envelopes(
    count: int, contract: Contract, *, items: int = 0, domain: str = "bars", keys: int = 500
) -> Iterator[Envelope]:
    """``count`` valid envelopes with distinct ids, times, traces, keys and payloads.

    ``items`` is the number of items in a batch; 0 stands for a single message. Domains: bars, orders.
    ``keys`` is how many instruments the bars are of.
    """
    chance = random.Random(7)
    major = contract.domains[domain].name
    for number in range(count):
        ms = _START_MS + number
        common = {
            "message_id": str(uuid7(ms, chance.getrandbits(74))),
            "schema_version": "1.0.0",
            "content_type": contract.headers["content_type"].example,
            "produced_at": f"2025-09-05T{number // 3_600_000 % 24:02}:{number // 60_000 % 60:02}:"
            f"{number // 1000 % 60:02}.{number % 1000:03}{chance.randrange(1000):03}Z",
            "producer": "yfinance-go@ingest-1",
            "source": "yfinance-go",
            "run_id": "live_0912",
            "trace_id": f"{chance.getrandbits(127) + 1:032x}",
        }
        yield _bars(common, number, items, keys) if major == "bars" else _order(common, number)


def _bars(common: dict[str, str], number: int, items: int, keys: int) -> Envelope:
    symbol = f"S{number % keys}X"
    bar = {
        "security": {"symbol": symbol, "mic": "XNAS"},
        "start": "2025-09-05T19:30:00Z",
        "end": "2025-09-05T19:31:00Z",
        **{name: {"scaled": str(1_923_400 + number % 5000), "scale": 4} for name in _PRICES},
        "vwap": {"scaled": str(1_923_300 + number % 5000), "scale": 4},
        "volume": str(number),
        "trade_count": str(number % 900),
        "adjusted": True,
        "event_time": "2025-09-05T19:31:00Z",
        "ingest_time": "2025-09-05T19:31:01.250Z",
        "as_of": "2025-09-05T19:31:01Z",
    }
    fqdn = "ampy.bars.v1.BarBatch" if items else "ampy.bars.v1.Bar"
    body: dict[str, Any] = {"bars": [bar] * items} if items else bar
    headers = {**common, "schema_fqdn": fqdn, "partition_key": f"XNAS.{symbol}"}
    return Envelope(f"ampy.prod.bars.v1.XNAS.{symbol}", Headers(headers), from_json(fqdn, body))


_PRICES = ("open", "high", "low", "close")


def _order(common: dict[str, str], number: int) -> Envelope:
    key = f"co_20250905_{number:07}"
    body = {
        "client_order_id": key,
        "security": {"symbol": "AAPL", "mic": "XNAS"},
        "quantity": {"scaled": "100", "scale": 0},
        "limit_price": {"scaled": "1923400", "scale": 4},
    }
    fqdn = "ampy.orders.v1.OrderRequest"
    headers = {**common, "schema_fqdn": fqdn, "partition_key": key, "dedupe_key": key}
    return Envelope("ampy.prod.orders.v1.requests", Headers(headers), from_json(fqdn, body))


def archive_lines(count: int, contract: Contract, invalid_every: int = 0) -> Iterator[str]:
    """Lines of a JSON-lines archive; every ``invalid_every``-th lacks its run_id (0: none does)."""
    for number, envelope in enumerate(envelopes(count, contract), 1):
        headers = dict(envelope.headers)
        if invalid_every and number % invalid_every == 0:
            del headers["run_id"]
        payload = base64.b64encode(envelope.payload).decode()
        row = {"topic": envelope.topic, "headers": headers, "payload_b64": payload}
        yield json.dumps(row, separators=(",", ":"))
