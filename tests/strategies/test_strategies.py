"""What the strategies make keeps the contract, means something, and follows the YAML."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, seed, settings
from hypothesis import strategies as st

from ampybus_contract import Envelope, Headers, Topic, validate
from ampybus_contract.contract import data_directory, default_contract, load_contract
from ampybus_contract.envelope.codec import decompress
from ampybus_contract.envelope.registry import decode, message_type
from ampybus_contract.errors import SpecError, StrategyError
from ampybus_contract.strategies import (
    Kind,
    Sent,
    breakable_requirements,
    envelopes,
    headers,
    invalid_envelopes,
    payloads,
    topics,
    workloads,
)

CONTRACT = default_contract()
PATIENT = settings(max_examples=2000, database=None)
QUICK = settings(max_examples=40, deadline=None)
THOROUGH = settings(max_examples=300, deadline=None)


def plain(envelope: Envelope) -> bytes:
    packed = "content_encoding" in envelope.headers
    return decompress(envelope.payload, CONTRACT.payload.decoded_at_most) if packed else envelope.payload


def number(value: Any) -> Decimal:
    return Decimal(value.scaled).scaleb(-value.scale)


def instant(value: Any) -> int:
    return int(value.seconds) * 1_000_000_000 + int(value.nanos)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize("domain", [*CONTRACT.domains, None])
def test_an_envelope_has_no_finding_of_any_level(domain: str | None) -> None:
    @THOROUGH
    @given(envelopes(domain=domain))
    def judge(envelope: Envelope) -> None:
        assert validate(envelope) == []

    judge()


@pytest.mark.parametrize("domain", CONTRACT.domains)
def test_a_topic_parses_and_matches_its_domain(domain: str) -> None:
    @QUICK
    @given(topics(domain=domain))
    def judge(text: str) -> None:
        topic = Topic.parse(text)
        assert str(topic) == text
        assert topic.domain == domain
        assert CONTRACT.domains[domain].subtopic.fullmatch(topic.subtopic)

    judge()


@QUICK
@given(headers())
def test_headers_keep_their_patterns(found: Headers) -> None:
    for name, text in found.items():
        assert CONTRACT.header_name.fullmatch(name)
        assert name not in CONTRACT.headers or CONTRACT.headers[name].pattern.fullmatch(text)


EDGE = CONTRACT.payload.compress_above
BOUNDARIES: dict[str, Callable[[Envelope], bool]] = {
    "one byte below the compression threshold": lambda item: len(plain(item)) == EDGE - 1,
    "at the compression threshold": lambda item: len(plain(item)) == EDGE,
    "one byte above it, packed": lambda item: len(plain(item)) == EDGE + 1 and len(item.payload) < EDGE,
    "no payload": lambda item: item.payload == b"" and "blob_ref" not in item.headers,
    "no payload, packed": lambda item: plain(item) == b"" and item.payload != b"",
    "a pointer": lambda item: all(name in item.headers for name in CONTRACT.pointer_headers),
    "a single nanosecond": lambda item: bool(re.search(r"\.\d{8}[1-9]Z", item.headers["produced_at"])),
    "a whole second": lambda item: "." not in item.headers["produced_at"],
    "a dotted symbol": lambda item: bool(re.search(r"\.bars\.v1\.[A-Z]{4}\.[A-Z]+\.[A-Z]", item.topic)),
    "a header value that is not ASCII": lambda item: (
        not all(text.isascii() for text in item.headers.values())
    ),
    "an unknown header": lambda item: any(name not in CONTRACT.headers for name in item.headers),
    "a trace in three headers": lambda item: {"span_id", "traceparent"} <= set(item.headers),
    "a dead letter that does not decode": lambda item: ".dlq." in item.topic and not _decodes(item),
}


def _decodes(envelope: Envelope) -> bool:
    kind = message_type(envelope.headers["schema_fqdn"])
    assert kind is not None
    try:
        kind().ParseFromString(plain(envelope))
    except Exception:
        return False
    return True


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_boundaries_come_often(boundary: str) -> None:
    find(envelopes(), BOUNDARIES[boundary], settings=PATIENT)


@THOROUGH
@given(payloads("ampy.bars.v1.Bar"))
def test_a_bar_is_one(bar: Any) -> None:
    low, high = number(bar.low), number(bar.high)
    assert 0 < low <= min(number(bar.open), number(bar.close)) <= high
    assert max(number(bar.open), number(bar.close)) <= high
    assert not bar.HasField("vwap") or low <= number(bar.vwap) <= high
    assert instant(bar.start) < instant(bar.end) <= instant(bar.event_time)
    later = [instant(getattr(bar, name)) for name in ("ingest_time", "as_of") if bar.HasField(name)]
    assert sorted(later) == later
    assert not later or instant(bar.event_time) <= later[0]
    assert bar.volume >= 0
    assert bar.security.symbol and bar.security.mic


@THOROUGH
@given(payloads("ampy.orders.v1.OrderRequest"))
def test_an_order_has_the_prices_that_its_type_needs(order: Any) -> None:
    kinds = type(order).DESCRIPTOR.fields_by_name["order_type"].enum_type.values_by_number
    name = kinds[order.order_type].name
    assert order.HasField("limit_price") is ("LIMIT" in name)
    assert order.HasField("stop_price") is ("STOP" in name)
    assert number(order.quantity) > 0
    assert order.side and order.tif


@QUICK
@given(payloads("ampy.ticks.v1.QuoteTick"), payloads("ampy.fx.v1.FxRate"))
def test_nobody_bids_above_the_ask(quote: Any, rate: Any) -> None:
    assert 0 < number(quote.bid) <= number(quote.ask)
    assert 0 < number(rate.bid) <= number(rate.ask)
    assert not rate.HasField("mid") or number(rate.bid) <= number(rate.mid) <= number(rate.ask)


@QUICK
@given(payloads("ampy.ticks.v1.TickBatch"), payloads("ampy.signals.v1.Signal"))
def test_one_alternative_is_chosen_and_the_right_one(batch: Any, signal: Any) -> None:
    assert all(tick.WhichOneof("kind") for tick in batch.ticks)
    kinds = type(signal).DESCRIPTOR.fields_by_name["type"].enum_type.values_by_number
    expected = {"SIGNAL_TYPE_ALPHA": "score", "SIGNAL_TYPE_ACTION": "action"}
    assert signal.WhichOneof("value") == expected[kinds[signal.type].name]


def every_type() -> list[str]:
    return sorted(CONTRACT.meaning.messages)


@pytest.mark.parametrize("fqdn", every_type())
def test_every_described_type_exists_and_can_be_made(fqdn: str) -> None:
    if message_type(fqdn) is None:
        pytest.fail(f"payloads.yaml describes {fqdn}, which ampy-proto does not have")

    @settings(max_examples=20, deadline=None)
    @given(payloads(fqdn))
    def judge(message: Any) -> None:
        described = CONTRACT.meaning.messages[fqdn].always
        assert decode(fqdn, message.SerializeToString()) == message
        for name in described:
            value = getattr(message, name)
            assert message.HasField(name) if hasattr(value, "DESCRIPTOR") else value is not None

    judge()


def test_a_batch_of_bars_speaks_of_one_instrument_in_rising_time() -> None:
    @QUICK
    @given(envelopes(domain="bars").filter(lambda item: item.headers["schema_fqdn"].endswith("Batch")))
    def judge(envelope: Envelope) -> None:
        batch: Any = decode("ampy.bars.v1.BarBatch", plain(envelope))
        keys = {f"{bar.security.mic}.{bar.security.symbol}" for bar in batch.bars}
        assert keys <= {envelope.headers["partition_key"]}
        starts = [instant(bar.start) for bar in batch.bars]
        assert starts == sorted(starts)

    judge()


def test_what_shrinking_leaves_can_be_read() -> None:
    simplest = find(envelopes(domain="bars"), lambda _: True)
    assert simplest.topic == "ampy.dev.bars.v1.XNYS.A"
    assert simplest.headers["producer"] == "a@1"
    assert simplest.headers["produced_at"] == "2025-01-02T14:31:00Z"
    order = find(envelopes(domain="orders"), lambda item: len(plain(item)) == EDGE, settings=PATIENT)
    assert order.headers["partition_key"] == "co_0"
    assert set(order.headers) <= {"dedupe_key", *_required()}


@pytest.mark.parametrize("drawn", [envelopes(), workloads("orders"), invalid_envelopes("PKY-01")])
def test_one_seed_draws_the_same_again(drawn: st.SearchStrategy[object]) -> None:
    def first(number: int) -> list[object]:
        found: list[object] = []

        @seed(number)
        @settings(max_examples=10, database=None, phases=[Phase.generate])
        @given(drawn)
        def collect(value: object) -> None:
            found.append(value)

        collect()
        return found

    assert first(1) == first(1) != first(2)


def _required() -> set[str]:
    return {name for name, rule in CONTRACT.headers.items() if rule.required}


def every_breakable() -> list[str]:
    return sorted(breakable_requirements())


def test_every_requirement_of_the_rules_on_envelopes_can_be_broken() -> None:
    golden = data_directory("golden").glob("*/invalid/*.json")
    shown = {item for path in golden for item in json.loads(path.read_text())["expect"]}
    assert shown <= set(every_breakable())


@pytest.mark.parametrize("requirement", every_breakable())
def test_an_invalid_envelope_breaks_its_requirement_and_nothing_else(requirement: str) -> None:
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(invalid_envelopes(requirement))
    def judge(envelope: Envelope) -> None:
        assert {item.requirement for item in validate(envelope)} == {requirement}

    judge()


@pytest.mark.parametrize("name", ["XYZ-01", ""])
def test_a_requirement_that_no_envelope_shows_is_refused(name: str) -> None:
    with pytest.raises(StrategyError, match="breakable_requirements"):
        invalid_envelopes(name)


@pytest.mark.parametrize("domain", [name for name, rule in CONTRACT.domains.items() if not rule.carries])
def test_a_workload_keeps_the_contract_and_its_own_word(domain: str) -> None:
    @QUICK
    @given(workloads(domain))
    def judge(sent: list[Sent]) -> None:
        assert len({item.envelope.headers["partition_key"] for item in sent if item.kind is Kind.NEW}) <= 3
        for place, item in enumerate(sent):
            assert validate(item.envelope) == []
            names = [_names(other.envelope) for other in sent[: place + 1]]
            earlier = [before for before in range(place) if names[before] & names[place]]
            assert item.repeats == (earlier[0] if earlier else None)
            if item.refers_to is not None:
                assert item.refers_to < place

    judge()


def _names(envelope: Envelope) -> set[tuple[str, str]]:
    found = {("id", envelope.headers["message_id"].lower())}
    if "dedupe_key" in envelope.headers:
        found.add((Topic.parse(envelope.topic).domain, envelope.headers["dedupe_key"]))
    return found


@pytest.mark.parametrize("kind", Kind)
def test_orders_come_in_every_kind(kind: Kind) -> None:
    sent = find(workloads("orders", max_size=5), lambda found: any(item.kind is kind for item in found),
                settings=PATIENT, random=Random(1))  # fmt: skip
    assert len(sent) <= 2


def test_the_steps_of_an_order_share_its_key_and_a_late_fill_speaks_of_it() -> None:
    def chain(sent: list[Sent]) -> bool:
        kinds = [item.kind for item in sent]
        return kinds.count(Kind.STEP) == 2 and kinds[-1] is Kind.ANSWER

    sent = find(workloads("orders", max_size=8), chain, settings=PATIENT, random=Random(1))
    assert [item.kind for item in sent] == [Kind.NEW, Kind.STEP, Kind.STEP, Kind.ANSWER]
    order, amend, cancel, fill = (item.envelope for item in sent)
    key = order.headers["partition_key"]
    assert (amend.headers["order_step"], cancel.headers["order_step"]) == ("amend", "cancel")
    assert amend.headers["partition_key"] == cancel.headers["partition_key"] == key
    assert ".fills." in fill.topic
    assert fill.headers["partition_key"].endswith(f"|{key}")


def test_one_key_keeps_one_instrument() -> None:
    @QUICK
    @given(workloads("bars", keys=1, min_size=2))
    def judge(sent: list[Sent]) -> None:
        assert len({item.envelope.topic for item in sent}) == 1

    judge()


def test_a_new_header_pattern_is_followed(spec_copy: Path) -> None:
    text = (spec_copy / "headers.yaml").read_text()
    text = re.sub(r"(run_id: \{.*pattern: )'[^']*'", r"\1'run-[0-9]{3}(?<!000)'", text)
    text = re.sub(r"(source: \{.*pattern: )'[^']*'", r"\1'(?P<x>[a-z]{2,9})-(?P=x)'", text)
    (spec_copy / "headers.yaml").write_text(text)
    contract = load_contract(spec_copy)

    @QUICK
    @given(envelopes(contract=contract))
    def judge(envelope: Envelope) -> None:
        assert validate(envelope, contract) == []
        assert re.fullmatch("run-[0-9]{3}", envelope.headers["run_id"])
        one, _, other = envelope.headers["source"].partition("-")
        assert one == other

    judge()


def test_a_new_required_header_is_followed(spec_copy: Path) -> None:
    line = "  desk: {required: HDR-01, format: HDR-08, pattern: 'desk/[A-Z]{2}', example: desk/AB}\n"
    edit(spec_copy / "headers.yaml", "headers:\n", f"headers:\n{line}")
    contract = load_contract(spec_copy)

    @QUICK
    @given(headers(contract=contract))
    def judge(found: Headers) -> None:
        assert re.fullmatch("desk/[A-Z]{2}", found["desk"])

    judge()


def test_another_key_formula_is_followed(spec_copy: Path) -> None:
    edit(spec_copy / "domains/bars.yaml", "'{mic}.{symbol}'", "'{symbol}/{mic}'")
    contract = load_contract(spec_copy)

    @QUICK
    @given(envelopes("bars", contract=contract))
    def judge(envelope: Envelope) -> None:
        assert validate(envelope, contract) == []
        symbol, _, mic = envelope.headers["partition_key"].partition("/")
        assert envelope.topic.endswith(f"{mic}.{symbol}")

    judge()


def test_a_new_domain_is_followed_also_where_no_pool_fits_its_subtopic(spec_copy: Path) -> None:
    text = (spec_copy / "domains/bars.yaml").read_text()
    text = text.replace("domain: bars", "domain: candles")
    text = re.sub(
        "subtopic: .*", "subtopic: '(daily|m[1-9])\\\\.(?P<mic>Z[0-9]{3})\\\\.(?P<symbol>[a-z]+)'", text
    )
    (spec_copy / "domains/candles.yaml").write_text(text)
    contract = load_contract(spec_copy)

    @QUICK
    @given(envelopes("candles", contract=contract))
    def judge(envelope: Envelope) -> None:
        assert validate(envelope, contract) == []
        assert re.fullmatch(r"ampy\.\w+\.candles\.v1\.(daily|m\d)\.Z\d{3}\.[a-z]+", envelope.topic)

    judge()


@given(st.data())
@QUICK
def test_what_does_not_exist_is_refused_with_what_does(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["nosuch", "", "ampy.nosuch.v1.Thing"]))
    with pytest.raises(StrategyError, match="Fix: "):
        envelopes(domain=name)
    with pytest.raises(StrategyError, match="Fix: "):
        payloads(name)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("{pool: venue}", "{pool: nosuch}", "declared pool"),
        ("{pool: venue}", "{pool: security}", "a pool of texts"),
        ("record: pair", "record: venue", "a pool of mappings"),
        ("'low <= open, close, vwap <= high'", "'low >= open'", "fields joined by"),
        ("{boolean: true}", "{boolean: maybe}", ""),
    ],
)
def test_broken_meaning_is_refused(spec_copy: Path, old: str, new: str, says: str) -> None:
    edit(spec_copy / "payloads.yaml", old, new)
    with pytest.raises(SpecError) as caught:
        load_contract(spec_copy)
    assert any(says in item.expected and item.file == "payloads.yaml" for item in caught.value.problems)


@pytest.mark.parametrize("order", ["low < high < low", "low < nosuch", "low < start", "volume < trade_count"])
def test_an_order_that_no_message_can_keep_is_refused(spec_copy: Path, order: str) -> None:
    edit(spec_copy / "payloads.yaml", "low <= open, close, vwap <= high", order)
    contract = load_contract(spec_copy)
    with pytest.raises(SpecError, match=r"/messages/ampy\.bars\.v1\.Bar/order"):
        find(payloads("ampy.bars.v1.Bar", contract=contract), lambda _: True)


def test_identifiers_in_the_pools_are_real() -> None:
    for entry in CONTRACT.meaning.pools["security"]:
        digits = "".join(str(int(char, 36)) for char in entry["isin"])
        doubled = [int(char) * (2 if place % 2 else 1) for place, char in enumerate(reversed(digits))]
        assert sum(value // 10 + value % 10 for value in doubled) % 10 == 0, entry
