"""The fast path and the close look agree, on goldens and on what mutation makes of them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ampybus_contract import Envelope, Finding, Headers, validate
from ampybus_contract.contract import data_directory, default_contract, load_contract
from ampybus_contract.envelope import read_fixture
from ampybus_contract.validation.fast import FastPath
from ampybus_contract.validation.fast_headers import DAY_EXISTS, SIGHTINGS_TO_COMPILE, SPARE, _quicker
from ampybus_contract.validation.validator import close_look

GOLDENS = [
    read_fixture(json.loads(path.read_text())).envelope
    for path in sorted(data_directory("golden").glob("*/*valid/*.json"))
]
SMALL = [golden for golden in GOLDENS if len(golden.payload) < 4096]
HEADERS = list(default_contract().headers)
TOKENS = sorted({token for golden in GOLDENS for token in golden.topic.split(".")})
VALUES = sorted({value for golden in GOLDENS for value in golden.headers.values()})


def learned() -> FastPath:
    """A fast path that has seen every golden as often as it takes to know its layout."""
    fast = FastPath(default_contract())
    for _ in range(SIGHTINGS_TO_COMPILE):
        for golden in GOLDENS:
            fast.clean(golden)
    return fast


FAST = learned()


def judge_both(fast: FastPath, envelope: Envelope, payload_known: bool = True) -> tuple[bool, list[Finding]]:
    for _ in range(SIGHTINGS_TO_COMPILE):
        fast.clean(envelope, payload_known)
    return fast.clean(envelope, payload_known), close_look(envelope, default_contract(), payload_known)


@st.composite
def mutations(draw: st.DrawFn) -> Envelope:
    """A golden with up to three changes of headers, topic tokens or payload bytes."""
    envelope = SMALL[draw(st.integers(0, len(SMALL) - 1))]
    for change in draw(
        st.lists(st.sampled_from(["drop", "set", "swap", "edit", "topic", "bytes"]), max_size=3)
    ):
        headers = dict(envelope.headers)
        names = sorted(headers)
        if change == "drop" and names:
            del headers[draw(st.sampled_from(names))]
        elif change == "set":
            name = draw(st.sampled_from([*HEADERS, "unknown", "Wrong-Name"]))
            headers[name] = draw(st.sampled_from(VALUES) | st.text(max_size=12))
        elif change == "swap" and names:
            one, other = draw(st.sampled_from(names)), draw(st.sampled_from(names))
            headers[one], headers[other] = headers[other], headers[one]
        elif change == "edit" and names:
            name = draw(st.sampled_from(names))
            place = draw(st.integers(0, len(headers[name])))
            letter = draw(st.sampled_from(["", "\n", "\r", "\0", "\ud800", "é", "|", "0", "a", "A", "."]))
            headers[name] = headers[name][:place] + letter + headers[name][place + draw(st.integers(0, 1)) :]
        elif change == "topic":
            tokens = envelope.topic.split(".")
            place = draw(st.integers(0, len(tokens) - 1))
            tokens[place : place + draw(st.integers(0, 1))] = [draw(st.sampled_from(TOKENS))]
            envelope = replace(envelope, topic=".".join(tokens))
        elif change == "bytes":
            place = draw(st.integers(0, len(envelope.payload)))
            some = draw(st.binary(max_size=2))
            payload = envelope.payload[:place] + some + envelope.payload[place + 1 :]
            envelope = replace(envelope, payload=payload)
        envelope = replace(envelope, headers=Headers(headers))
    return envelope


@given(mutations(), st.booleans())
def test_fast_path_and_close_look_agree(envelope: Envelope, payload_known: bool) -> None:
    clean, findings = judge_both(FAST, envelope, payload_known)
    assert clean == (findings == [])


@pytest.mark.parametrize("payload_known", [True, False])
def test_they_agree_on_every_golden_and_the_fast_path_knows_every_valid_one(payload_known: bool) -> None:
    for golden in GOLDENS:
        clean, findings = judge_both(FAST, golden, payload_known)
        assert clean == (findings == []), golden


def test_days_are_those_of_the_calendar() -> None:
    pattern = re.compile(f"(?={DAY_EXISTS})[0-9-]{{10}}")
    for year in (0, 1, 4, 100, 400, 1900, 2000, 2023, 2024, 2025, 2100, 9999):
        for month in range(1, 13):
            for day in range(1, 32):
                text = f"{year:04}-{month:02}-{day:02}"
                try:
                    date.fromisoformat(text)
                except ValueError:
                    assert not pattern.fullmatch(text), text
                else:
                    assert pattern.fullmatch(text), text


def test_a_value_that_ends_early_does_not_lend_its_rest_to_the_next(bars: Envelope) -> None:
    headers = bars.headers.with_(run_id="a\nb", trace_id=None)
    assert {item.requirement for item in judge_both(FAST, replace(bars, headers=headers))[1]} == {
        "HDR-01",
        "HDR-08",
        "HDR-14",
    }
    assert not FAST.clean(replace(bars, headers=headers))


@pytest.mark.parametrize(
    ("header", "broken"),
    [
        ("message_id", "019b6c2f-9b1c-76aa-8f7a-3b1d8f3ea0\r2"),
        ("trace_id", "4b5b3f2a0f9d4e3d\r4c8a1f0e3a7c812"),
        ("source", "half \ud800"),
        ("partition_key", "half \ud800"),
    ],
)
def test_a_character_that_no_value_may_hold_is_seen_in_the_midst_of_known_traffic(
    bars: Envelope, header: str, broken: str
) -> None:
    assert judge_both(FAST, bars) == (True, [])
    clean, findings = judge_both(FAST, replace(bars, headers=bars.headers.with_(**{header: broken})))
    assert not clean
    assert "HDR-14" in {item.requirement for item in findings}


def test_a_class_is_written_for_speed_only_where_it_is_one() -> None:
    written = {
        r"([0-9a-f]{2})": "(?:[0-9a-f\\\r]{2})",
        r"\[0-9a-f]": r"\[0-9a-f]",
        r"[[0-9a-f]": r"[[0-9a-f]",
        r"[]0-9a-f]\((?=x)": r"[]0-9a-f]\((?=x)",
        r"[^0-9a-f][0-9]": r"[^0-9a-f][0-9]",
    }
    assert {pattern: _quicker(pattern, SPARE) for pattern in written} == written


def test_a_pattern_with_references_of_its_own_is_judged_apart(spec_copy: Path, bars: Envelope) -> None:
    file = spec_copy / "headers.yaml"
    rule = "partition_key: {required: HDR-01, format: HDR-08, pattern: "
    text = file.read_text().replace(rule + r"'[^\r\n\x00]+'", rule + r"'[A-Z]*\.([A-Z])\1[A-Z]*'")
    file.write_text(text)
    contract = load_contract(spec_copy)
    for _ in range(SIGHTINGS_TO_COMPILE + 1):
        assert validate(replace(bars, headers=bars.headers.with_(partition_key="XNAS.AAPL")), contract) == []
        (finding,) = (
            item
            for item in validate(replace(bars, headers=bars.headers.with_(partition_key="abc")), contract)
            if item.requirement == "HDR-08"
        )
        assert finding.where == "headers.partition_key"
