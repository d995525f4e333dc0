"""Payloads of an exact size, and histories of what happens to them around the limit (BIG-02)."""

from __future__ import annotations

import pytest

from ampybus_contract import Envelope
from ampybus_contract.contract import default_contract
from ampybus_contract.envelope.codec import decompress, stored
from ampybus_contract.harness import checkers
from ampybus_contract.harness.history import Event, Operation, Outcome
from ampybus_contract.harness.workload import Workload
from ampybus_contract.validation import validate

CONTRACT = default_contract()
LIMIT = CONTRACT.payload.sent_below
MADE = Workload(CONTRACT, 1)
DOMAIN = MADE.keyed_domain()
BELOW, AT = MADE.filled(DOMAIN, LIMIT - 1), MADE.filled(DOMAIN, LIMIT)


def published(envelope: Envelope, outcome: Outcome) -> Event:
    return Event(0, "producer", Operation.PUBLISH, outcome, envelope)


def on_wire(envelope: Envelope) -> Event:
    return Event(0, "wire", Operation.STORE, Outcome.OK, envelope)


@pytest.mark.parametrize("size", [2_000, LIMIT - 1, LIMIT, LIMIT + 1])
def test_a_payload_fills_up_to_an_exact_size(size: int) -> None:
    made = MADE.filled(DOMAIN, size)
    assert len(made.payload) == size
    broken = {item.requirement for item in validate(made, CONTRACT) if item.level == "MUST"}
    assert broken == ({CONTRACT.payload.requirements["sent"]} if size >= LIMIT else set())


def test_filled_up_gzip_is_what_it_was() -> None:
    assert decompress(stored(b"payload", 999), LIMIT) == b"payload"


@pytest.mark.parametrize("size", [0, 30, 100_000])
def test_a_size_that_cannot_be_filled_up_to_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=str(size)):
        stored(b"payload", size)


def test_what_is_stored_or_refused_for_good_has_a_definite_end() -> None:
    good = [published(BELOW, Outcome.OK), published(AT, Outcome.FAIL), on_wire(BELOW)]
    assert not checkers.unsettled_size(good, CONTRACT)


@pytest.mark.parametrize("outcome", [Outcome.INFO, Outcome.OK])
def test_what_is_neither_stored_nor_refused_for_good_is_found(outcome: Outcome) -> None:
    (found,) = checkers.unsettled_size([published(AT, outcome)], CONTRACT)
    assert str(LIMIT) in found.sentence


def test_a_binding_may_refuse_what_reaches_the_limit_with_its_headers() -> None:
    assert not checkers.refused_valid([published(BELOW, Outcome.FAIL)], CONTRACT)


def test_a_binding_may_not_refuse_what_is_far_below_the_limit() -> None:
    lower = MADE.filled(DOMAIN, LIMIT - 4_096)
    assert checkers.refused_valid([published(lower, Outcome.FAIL)], CONTRACT)
