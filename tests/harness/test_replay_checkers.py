"""Hand-written histories, good and bad, for the checkers of replay."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ampybus_contract import Envelope
from ampybus_contract.contract import default_contract
from ampybus_contract.envelope.formula import fill
from ampybus_contract.envelope.instant import instant_text
from ampybus_contract.envelope.registry import decode, to_json
from ampybus_contract.harness import checkers
from ampybus_contract.harness.history import Event, Operation, Outcome
from ampybus_contract.harness.workload import Workload

CONTRACT = default_contract()
MADE = Workload(CONTRACT, 1)
DOMAIN = MADE.replayed_domain("time_window")
START = 1_757_100_661_123_456_789
END = START + 3


def at(moment: int, key: int = 0, env: str = "") -> Envelope:
    made = MADE.envelope(DOMAIN, key, env=env)
    return replace(made, headers=made.headers.with_(produced_at=instant_text(moment)))


BEFORE, A, B, C, AFTER = (at(START + step) for step in (-1, 0, 1, 2, 3))
OTHER = at(START, key=1)
ELSEWHERE = at(START, env=CONTRACT.topic.environments[1])
REQUEST = MADE.replay_request(A, (START, END))
AGAIN = MADE.replay_request(A, (START, END))
BY_KEY = MADE.replay_request(A, (START, END), key=A.headers["partition_key"])
PATTERN = f"{CONTRACT.topic.prefix}.>"
SINK = Event(0, "sink", Operation.REPLAY, Outcome.OK, A, pattern=PATTERN)
SECOND = replace(SINK, actor="second")
LIVE = Event(0, "consumer", Operation.SUBSCRIBE, Outcome.OK, A, pattern=PATTERN)
DELIVER = Operation.DELIVER


def published(envelope: Envelope) -> Event:
    return Event(0, "producer", Operation.PUBLISH, Outcome.OK, envelope)


def marked(envelope: Envelope, request: Envelope = REQUEST) -> Envelope:
    name = to_json(decode(CONTRACT.replay.request, request.payload))["request_id"]
    return replace(envelope, headers=envelope.headers.with_(**{CONTRACT.replay.header: name}))


def replayed(
    envelope: Envelope, request: Envelope = REQUEST, actor: str = "sink", operation: Operation = DELIVER
) -> Event:
    return Event(0, actor, operation, Outcome.OK, marked(envelope, request), pattern=PATTERN)


def live(envelope: Envelope, operation: Operation = DELIVER) -> Event:
    return Event(0, "consumer", operation, Outcome.OK, envelope, pattern=PATTERN)


STORED = [published(item) for item in (BEFORE, A, B, C, AFTER)]
GOOD = [
    *STORED,
    SINK,
    SECOND,
    LIVE,
    published(REQUEST),
    *map(live, (BEFORE, A, B, C, AFTER)),
    replayed(A),
    published(OTHER),
    live(OTHER),
    replayed(A, operation=Operation.EFFECT),
    replayed(OTHER),
    replayed(B),
    replayed(C),
    *(replayed(item, actor="second") for item in (A, OTHER, B, C)),
]
ASKED = [*STORED, SINK, published(REQUEST)]
BAD: list[tuple[checkers.Checker, list[Event], int]] = [
    (checkers.nothing_replayed, [*STORED, SINK], 1),
    (checkers.nothing_replayed, [*STORED, published(REQUEST)], 1),
    (checkers.nothing_replayed, [*ASKED, live(A)], 1),
    (checkers.replay_incomplete, [*ASKED, replayed(A), replayed(C)], 2),
    (checkers.replay_outside_window, [*ASKED, replayed(BEFORE)], 2),
    (checkers.replay_outside_window, [*ASKED, replayed(AFTER)], 2),
    (checkers.replay_outside_scope, [*STORED, published(BY_KEY), replayed(OTHER, BY_KEY)], 2),
    (checkers.replay_cross_env, [*ASKED, replayed(ELSEWHERE)], 2),
    (checkers.replay_unrequested, [*STORED, replayed(A)], 1),
    (checkers.replay_changed, [*ASKED, replayed(replace(A, payload=b""))], 2),
    (checkers.replay_changed, [*ASKED, replayed(replace(A, headers=A.headers.with_(source="other")))], 2),
    (checkers.replay_changed, [*ASKED, replayed(OTHER)], 1),
    (
        checkers.replay_reordered,
        [
            *ASKED,
            published(AGAIN),
            *(replayed(item) for item in (A, B)),
            *(replayed(item, AGAIN, "second") for item in (B, A)),
        ],
        2,
    ),
    (checkers.request_skipped, [*ASKED, published(AGAIN), replayed(A, AGAIN), replayed(B, AGAIN)], 2),
    (
        checkers.live_paused,
        [*ASKED, LIVE, replayed(A), published(OTHER), replayed(A, operation=Operation.EFFECT), live(OTHER)],
        1,
    ),
    (checkers.live_paused, [*ASKED, LIVE, replayed(A), published(OTHER)], 1),
    (checkers.live_disturbed, [*ASKED, LIVE, replayed(A, actor="consumer")], 1),
    (checkers.live_disturbed, [*ASKED, replayed(A, actor="wire", operation=Operation.STORE)], 1),
]
CHECKERS = {checker.__name__: checker for checker, _history, _size in BAD}


@pytest.mark.parametrize("checker", CHECKERS.values(), ids=CHECKERS)
def test_a_good_history_has_no_anomaly(checker: checkers.Checker) -> None:
    assert checker(GOOD, CONTRACT) == []


@pytest.mark.parametrize(
    ("checker", "history", "size"), BAD, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_bad_history_gives_one_anomaly_and_the_events_that_show_it(
    checker: checkers.Checker, history: list[Event], size: int
) -> None:
    (anomaly,) = checker(history, CONTRACT)
    assert len(anomaly.events) == size
    assert anomaly.sentence


def test_a_dead_letter_of_a_replayed_record_does_not_disturb_live_traffic() -> None:
    parts = {"prefix": CONTRACT.topic.prefix, "env": MADE.env, "domain": DOMAIN}
    letter = replace(marked(A), topic=fill(CONTRACT.dead_letter.topic, parts))
    stored = Event(0, "wire", Operation.STORE, Outcome.OK, letter)
    assert checkers.live_disturbed([*ASKED, stored], CONTRACT) == []


def test_what_a_sink_got_live_need_not_be_replayed_to_it() -> None:
    history = [*ASKED, *(replace(live(item), actor="sink") for item in (A, B)), replayed(C)]
    assert checkers.replay_incomplete(history, CONTRACT) == []
