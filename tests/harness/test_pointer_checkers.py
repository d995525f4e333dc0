"""Hand-written histories, good and bad, for the checkers of stored payloads."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ampybus_contract import Envelope
from ampybus_contract.contract import default_contract
from ampybus_contract.harness import checkers
from ampybus_contract.harness.history import Event, Operation, Outcome
from ampybus_contract.harness.workload import Workload

CONTRACT = default_contract()
MADE = Workload(CONTRACT, 1)
DOMAIN = MADE.keyed_domain()
SPOILED, WHOLE = MADE.bulky(DOMAIN), MADE.bulky(DOMAIN)
LATE = 10**9


def event(operation: Operation, envelope: Envelope, outcome: Outcome = Outcome.OK, at: int = 0) -> Event:
    return Event(at, "someone", operation, outcome, envelope)


def on_wire(envelope: Envelope) -> Event:
    examples = {name: CONTRACT.headers[name].example for name in CONTRACT.pointer_headers}
    return event(Operation.STORE, Envelope(envelope.topic, envelope.headers.with_(**examples), b""))


def letter(reason: str) -> Event:
    stored = on_wire(SPOILED).envelope
    topic = f"{CONTRACT.topic.prefix}.{MADE.env}.dlq.v1.{DOMAIN}"
    headers = stored.headers.with_(dlq_reason=f"{reason}: so it was")
    return event(Operation.STORE, replace(stored, topic=topic, headers=headers))


def run(how: Operation, reason: str, buried: int = LATE) -> list[Event]:
    return [
        event(Operation.PUBLISH, SPOILED),
        event(Operation.PUBLISH, WHOLE),
        event(how, SPOILED),
        event(Operation.SUBSCRIBE, SPOILED),
        event(Operation.EFFECT, WHOLE),
        event(Operation.BURIED, SPOILED, at=buried),
        on_wire(SPOILED),
        on_wire(WHOLE),
        letter(reason),
    ]


REPLACED, REMOVED = run(Operation.REPLACE, "blob_error"), run(Operation.REMOVE, "retries_exhausted")
HANDED = event(Operation.DELIVER, replace(SPOILED, payload=b""))

GOOD: list[tuple[checkers.Checker, list[Event]]] = [
    (checkers.large_payload_lost, REPLACED),
    (checkers.object_unverified, REPLACED),
    (checkers.absence_mishandled, REMOVED),
]
BAD: list[tuple[checkers.Checker, list[Event]]] = [
    (checkers.large_payload_lost, [event(Operation.PUBLISH, WHOLE, Outcome.FAIL)]),
    (checkers.large_payload_lost, [event(Operation.PUBLISH, WHOLE), event(Operation.STORE, WHOLE)]),
    (checkers.large_payload_lost, [event(Operation.PUBLISH, WHOLE), on_wire(WHOLE)]),
    (
        checkers.large_payload_lost,
        [
            event(Operation.PUBLISH, WHOLE),
            on_wire(WHOLE),
            event(Operation.EFFECT, replace(WHOLE, payload=b"")),
        ],
    ),
    (checkers.object_unverified, [*REPLACED, HANDED]),
    (checkers.object_unverified, REPLACED[:-1]),
    (checkers.object_unverified, run(Operation.REPLACE, "retries_exhausted")),
    (checkers.object_unverified, REMOVED),
    (checkers.absence_mishandled, [*REMOVED, HANDED]),
    (checkers.absence_mishandled, REMOVED[:-1]),
    (checkers.absence_mishandled, run(Operation.REMOVE, "blob_error")),
    (checkers.absence_mishandled, run(Operation.REMOVE, "retries_exhausted", buried=1_000_000)),
    (checkers.absence_mishandled, REPLACED),
]


@pytest.mark.parametrize(("checker", "history"), GOOD, ids=lambda value: getattr(value, "__name__", ""))
def test_a_good_history_has_no_anomaly(checker: checkers.Checker, history: list[Event]) -> None:
    assert checker(history, CONTRACT) == []


@pytest.mark.parametrize(("checker", "history"), BAD, ids=lambda value: getattr(value, "__name__", ""))
def test_a_bad_history_gives_one_anomaly(checker: checkers.Checker, history: list[Event]) -> None:
    (anomaly,) = checker(history, CONTRACT)
    assert anomaly.sentence
    assert anomaly.events
