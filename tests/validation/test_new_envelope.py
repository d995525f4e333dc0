"""What a service imports: envelopes built right, and nothing heavy loaded for them."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message

from ampybus_contract import Envelope, InvalidEnvelopeError, new_envelope, validate
from ampybus_contract.contract import data_directory, default_contract
from ampybus_contract.envelope import read_fixture
from ampybus_contract.envelope.codec import decompress
from ampybus_contract.envelope.registry import decode, message_type
from ampybus_contract.envelope.schema_hash import schema_hash
from ampybus_contract.errors import TopicError

VALID = [path for path in sorted(data_directory("golden").glob("*/valid/*.json"))
         if path.with_suffix(".wire").exists()]  # fmt: skip


def build(where: str, message: Message, **options: Any) -> Envelope:
    return new_envelope(where, message, producer="p@1", source="s", run_id="r", **options)


def order(**fields: Any) -> Any:
    kind = message_type("ampy.orders.v1.OrderRequest")
    assert kind is not None
    return kind(client_order_id="co_1", **fields)


@pytest.mark.parametrize("path", VALID, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_every_golden_payload_gets_the_topic_and_keys_of_its_golden(path: Path) -> None:
    golden = read_fixture(json.loads(path.read_text())).envelope
    fqdn = default_contract().canonical(golden.headers["schema_fqdn"])
    message = decode(fqdn, path.with_suffix(".wire").read_bytes())
    made = build(golden.topic, message)
    assert validate(made) == []
    for name in ("partition_key", "dedupe_key", "schema_fqdn"):
        assert made.headers.get(name) == golden.headers.get(name)
    env, domain = golden.topic.split(".")[1:3]
    try:
        assert build(f"{env}.{domain}", message).headers["partition_key"]
    except TopicError as error:
        assert "name the topic" in str(error)
        assert domain in ("news", "fx", "metrics", "ticks")


def test_ids_traces_and_times_differ_and_given_headers_win() -> None:
    one, other = (build("dev.orders", order()) for _ in range(2))
    assert one.headers["message_id"] != other.headers["message_id"]
    assert one.headers["trace_id"] != other.headers["trace_id"]
    assert one.topic == "ampy.dev.orders.v1.requests"
    trace = "4b5b3f2a0f9d4e3db4c8a1f0e3a7c812"
    mine = build("dev.orders", order(), trace_id=trace, my_header="x")
    assert (mine.headers["trace_id"], mine.headers["my_header"]) == (trace, "x")


def test_a_large_payload_is_compressed_and_one_over_the_limit_refused() -> None:
    limits = default_contract().payload
    fits = order(venue="v" * limits.compress_above)
    made = build("dev.orders", fits)
    assert made.headers["content_encoding"] == "gzip"
    assert decompress(made.payload, limits.decoded_at_most) == fits.SerializeToString()
    noise = random.Random(1).randbytes(limits.sent_below).hex()
    with pytest.raises(InvalidEnvelopeError, match=r"SIZ-02.*pointer envelope"):
        build("dev.orders", order(venue=noise))


@pytest.mark.parametrize(
    ("where", "says"),
    [("dev.nothing", "environment and domain"), ("ampy.dev.nothing.v1.x", "a domain of"),
     ("dev.bars", "does not say which subtopic")],
)  # fmt: skip
def test_a_place_that_cannot_be_told_is_refused(where: str, says: str) -> None:
    with pytest.raises(TopicError, match=says):
        build(where, order())


def test_a_message_on_the_wrong_topic_is_refused() -> None:
    with pytest.raises(InvalidEnvelopeError, match="PAY-01"):
        build("ampy.dev.fills.v1.events", order(), partition_key="x")


def test_the_schema_hash_follows_the_schema() -> None:
    made = build("dev.orders", order(), with_schema_hash=True)
    assert made.headers["schema_hash"] == schema_hash("ampy.orders.v1.OrderRequest")
    assert validate(made) == []
    assert schema_hash("ampy.orders.v1.OrderRequest") == schema_hash("ampy.orders.v1.OrderRequestBatch")
    assert schema_hash("ampy.orders.v1.OrderRequest") != schema_hash("ampy.bars.v1.Bar")
    assert schema_hash("ampy.orders.v1.Nothing") is None


def test_import_pulls_in_no_broker_no_test_tool_and_no_schema_library() -> None:
    heavy = ("nats", "hypothesis", "pytest", "_pytest", "jsonschema", "asyncio", "jinja2", "obstore")
    code = (
        "import sys; from ampybus_contract import validate, check, Envelope, new_envelope; "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
