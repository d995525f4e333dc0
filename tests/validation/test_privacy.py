"""Personal data is found where it is, and identifiers of the contract are left alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ampybus_contract import Envelope, validate
from ampybus_contract.contract import default_contract
from ampybus_contract.contract.backtracking import explosive
from ampybus_contract.contract.privacy import Detector
from ampybus_contract.envelope import read_fixture
from ampybus_contract.validation.privacy_rules import in_text, luhn, mod97

RULE = default_contract().privacy


@pytest.fixture
def order(golden: Path) -> Envelope:
    return read_fixture(json.loads((golden / "orders/valid/typical.json").read_text())).envelope


@pytest.mark.parametrize("detector", RULE.detectors, ids=lambda detector: detector.name)
def test_each_kind_is_found_alone_and_within_words(detector: Detector) -> None:
    example = detector.example
    for text in (example, f"call {example} now", f"({example})", f"'{example}'."):
        assert any(detector.name in seen for seen in in_text(RULE, text)), text


@pytest.mark.parametrize(
    "text",
    ["co_20250905_001", "ampy-oms@oms-2", "hb@1", "2025-09-05T19:31:01.123456789Z", "1923400.0000",
     "4111 1111 1111 1112", "DE88 3704 0044 0532 0130 00", "000-12-3456", "ARCX", "XNAS.BRK.B", "1.0.0-rc.1",
     "018f5e2f-9b1c-76aa-8f7a-3b1d8f3ea0c2", "live_0912", "universe@2025-09-05", "12345", "$1,234,567.89"],
)  # fmt: skip
def test_what_only_looks_like_it_is_left_alone(text: str) -> None:
    assert list(in_text(RULE, text)) == []


def test_sums_find_a_changed_digit() -> None:
    for text, check in (("5555555555554444", luhn), ("378282246310005", luhn)):
        assert check(text)
        for place, digit in enumerate(text):
            changed = text[:place] + str((int(digit) + 1) % 10) + text[place + 1 :]
            assert not check(changed)
    assert mod97("GB82WEST12345698765432")
    assert not mod97("GB82WEST12345698765433")


def test_contract_identifiers_and_other_domains_are_exempt(order: Envelope, bars: Envelope) -> None:
    card = "4111111111111111"
    payload = order.payload.replace(b"co_20250905_001", card[:15].encode())
    headers = order.headers.with_(partition_key=card[:15], dedupe_key=card[:15])
    assert validate(replace(order, headers=headers, payload=payload)) == []
    assert validate(replace(bars, headers=bars.headers.with_(note="jane.doe@mail.example.com"))) == []


def test_a_finding_does_not_repeat_the_data(order: Envelope) -> None:
    mail = "jane.doe@mail.example.com"
    (finding,) = validate(replace(order, headers=order.headers.with_(source=mail)))
    assert (finding.requirement, finding.where) == ("PII-02", "headers.source")
    assert "jane" not in repr(finding)


def test_headers_are_scanned_where_the_payload_is_not_known(order: Envelope) -> None:
    mail = replace(order, headers=order.headers.with_(source="jane.doe@mail.example.com"))
    for _ in range(12):
        assert [item.requirement for item in validate(mail, payload_known=False)] == ["PII-02"]
        assert validate(order, payload_known=False) == []


@pytest.mark.parametrize("detector", RULE.detectors, ids=lambda detector: detector.name)
def test_no_detector_can_be_slow_on_a_hostile_text(detector: Detector) -> None:
    assert explosive(detector.pattern.pattern) is None
