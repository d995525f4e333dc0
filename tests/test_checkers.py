"""Hand-written histories, good and bad, for each checker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ampybus_contract import Envelope, Headers
from ampybus_contract.harness import checkers
from ampybus_contract.harness.history import Event, Operation, Outcome, event


def history(*words: str) -> list[Event]:
    """``publish a k ok`` means: the producer publishes message a with key k, and it is stored."""
    events: list[Event] = []
    for at, word in enumerate(words):
        operation, name, key, outcome = word.split()
        actor = "producer" if operation == "publish" else "consumer"
        headers = Headers({"message_id": name, "partition_key": key})
        envelope = Envelope("ampy.dev.bars.v1.XNAS.AAPL", headers, name.lower().encode())
        made = event(at, actor, Operation(operation), Outcome(outcome), envelope)
        if operation == "publish":
            events.append(replace(made, outcome=Outcome.INVOKE))
        events.append(made)
    return events


GOOD = history(
    "publish a k ok",
    "publish b k ok",
    "publish c k info",
    "publish d k fail",
    "deliver a k ok",
    "deliver a k ok",
    "effect a k ok",
    "deliver b k ok",
    "effect b k ok",
)


@pytest.mark.parametrize(
    "checker",
    [
        checkers.lost_write,
        checkers.duplicate_effect,
        checkers.key_reordered,
        checkers.header_changed,
        checkers.payload_changed,
        checkers.unpublished,
    ],
)
def test_a_good_history_has_no_anomaly(checker: Callable[[list[Event]], list[checkers.Anomaly]]) -> None:
    assert checker(GOOD) == []


def ids(anomalies: list[checkers.Anomaly]) -> list[list[str]]:
    return [[f"{item.operation} {item.id}" for item in anomaly] for anomaly in anomalies]


def test_an_acknowledged_message_that_nobody_got_is_lost() -> None:
    assert ids(checkers.lost_write(history("publish a k ok"))) == [["publish a"]]


def test_the_same_effect_twice_is_found_whatever_the_case_of_the_id() -> None:
    found = checkers.duplicate_effect(history("publish a k ok", "effect a k ok", "effect A k ok"))
    assert ids(found) == [["effect a", "effect a"]]


def test_order_is_judged_within_a_key_only() -> None:
    swapped = ("deliver b k ok", "deliver a k ok")
    found = checkers.key_reordered(history("publish a k ok", "publish b k ok", *swapped))
    assert ids(found) == [["publish a", "publish b", "deliver b", "deliver a"]]
    other = history("publish a k ok", "publish b other ok", "deliver b other ok", "deliver a k ok")
    assert checkers.key_reordered(other) == []


def test_a_changed_header_and_a_changed_payload_are_told_apart() -> None:
    good = history("publish a k ok", "deliver a k ok")
    headers = [*good[:-1], replace(good[-1], headers="other")]
    body = [*good[:-1], replace(good[-1], body="other")]
    assert ids(checkers.header_changed(headers)) == [["publish a", "deliver a"]]
    assert checkers.payload_changed(headers) == []
    assert ids(checkers.payload_changed(body)) == [["publish a", "deliver a"]]
    assert checkers.header_changed(body) == []


def test_an_id_made_up_on_the_way_is_found() -> None:
    assert ids(checkers.unpublished(history("publish a k ok", "deliver x k ok"))) == [["deliver x"]]
