"""Replay requests where no conformance check looks."""

from __future__ import annotations

from typing import Any

import pytest

from ampybus_contract import Envelope
from ampybus_contract.bindings.replay import Request
from ampybus_contract.contract import default_contract
from ampybus_contract.envelope.instant import instant_text, nanoseconds
from ampybus_contract.envelope.registry import decode
from ampybus_contract.errors import ReplayError
from ampybus_contract.harness.workload import Workload
from ampybus_contract.validation import validate

CONTRACT = default_contract()
MADE = Workload(CONTRACT, 1)
WINDOWED = MADE.envelope(MADE.replayed_domain("time_window"))
KEYED = MADE.envelope(MADE.replayed_domain("key"))
WINDOW = (1_757_100_661_123_456_789, 1_757_100_661_123_456_790)
FAMILY = ".".join(WINDOWED.topic.split(".")[:4])
HERE, THERE = CONTRACT.topic.environments[:2]


def edited(request: Envelope, **fields: Any) -> Envelope:
    message: Any = decode(CONTRACT.replay.request, request.payload)
    for name, value in fields.items():
        setattr(message, name, value)
    return Envelope(request.topic, request.headers, message.SerializeToString())


def test_a_request_keeps_the_contract() -> None:
    assert validate(MADE.replay_request(WINDOWED, WINDOW)) == []


def test_a_window_is_read_to_the_nanosecond() -> None:
    request = Request.read(MADE.replay_request(WINDOWED, WINDOW), CONTRACT)
    assert (request.start, request.end, request.key) == (*WINDOW, None)
    span, slack = request.span(CONTRACT), round(CONTRACT.replay.lookup_slack_seconds * 1e9)
    assert (span.start, span.end) == (WINDOW[0] - slack, WINDOW[1] + slack)


def test_instants_survive_being_written() -> None:
    assert nanoseconds(instant_text(WINDOW[0])) == WINDOW[0]


@pytest.mark.parametrize(
    ("pattern", "read"),
    [
        ("", f"{FAMILY}.>"),
        (f"{FAMILY}.XNAS.*", f"{FAMILY}.XNAS.*"),
        (FAMILY.replace(HERE, "*") + ".>", f"{FAMILY}.>"),
        (FAMILY.split(".", maxsplit=1)[0] + ".>", f"{FAMILY}.>"),
    ],
)
def test_a_pattern_is_taken_within_its_environment(pattern: str, read: str) -> None:
    assert Request.read(MADE.replay_request(WINDOWED, WINDOW, pattern=pattern), CONTRACT).pattern == read


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (MADE.replay_request(WINDOWED), "start and end"),
        (MADE.replay_request(KEYED, WINDOW), "a key"),
        (MADE.replay_request(WINDOWED, WINDOW, pattern=FAMILY.replace(HERE, THERE) + ".>"), "within"),
        (MADE.replay_request(WINDOWED, WINDOW, pattern=FAMILY), "topics under"),
        (edited(MADE.replay_request(WINDOWED, WINDOW), domain="none"), "a domain that is replayed"),
        (edited(MADE.replay_request(WINDOWED, WINDOW), domain="control"), "a domain that is replayed"),
    ],
)
def test_a_request_without_meaning_is_refused_with_what_to_do(asked: Envelope, says: str) -> None:
    with pytest.raises(ReplayError, match=says):
        Request.read(asked, CONTRACT)


def test_a_record_without_a_time_is_in_no_window() -> None:
    request = Request.read(MADE.replay_request(WINDOWED, WINDOW), CONTRACT)
    timeless = Envelope(WINDOWED.topic, WINDOWED.headers.with_(produced_at=None), WINDOWED.payload)
    assert not request.covers(timeless, CONTRACT)
