"""Hand-written histories, good and bad, for each checker."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from ampybus_contract import Envelope
from ampybus_contract.contract import default_contract
from ampybus_contract.harness import checkers
from ampybus_contract.harness.history import Anomaly, Event, Operation, Outcome
from ampybus_contract.harness.workload import Workload

CONTRACT = default_contract()
MADE = Workload(CONTRACT, 1)
DOMAIN = MADE.keyed_domain()
A, B, OTHER = MADE.envelope(DOMAIN, 0), MADE.envelope(DOMAIN, 0), MADE.envelope(DOMAIN, 1)
PATTERN = f"{CONTRACT.topic.prefix}.>"
POISON = Envelope(A.topic, MADE.envelope(DOMAIN).headers, b"\xff\xfe" + A.payload)

SUBSCRIBED = Event(0, "consumer", Operation.SUBSCRIBE, Outcome.OK, A, pattern=PATTERN)


def published(envelope: Envelope, outcome: Outcome = Outcome.OK, error: str = "") -> list[Event]:
    return [
        Event(0, "producer", Operation.PUBLISH, Outcome.INVOKE, envelope),
        Event(0, "producer", Operation.PUBLISH, outcome, envelope, error=error),
    ]


def delivered(envelope: Envelope, pattern: str = PATTERN, attempt: int = 1, at: float = 0) -> Event:
    moment = round(at * 1e9)
    return Event(moment, "consumer", Operation.DELIVER, Outcome.OK, envelope, attempt, pattern)


def tried(envelope: Envelope, *times: float) -> list[Event]:
    return [delivered(envelope, attempt=number, at=at) for number, at in enumerate(times, 1)]


def on_time(start: float = 0.0) -> list[float]:
    """The moments of all attempts of a message when each pause is nominal."""
    rule, moments = CONTRACT.retry_of(DOMAIN), [start]
    for number in range(rule.attempts - 1):
        pause = min(rule.backoff_initial * rule.backoff_factor**number, rule.backoff_max)
        moments.append(moments[-1] + pause)
    return moments


def effect(envelope: Envelope) -> Event:
    return Event(0, "consumer", Operation.EFFECT, Outcome.OK, envelope)


def stored(envelope: Envelope) -> Event:
    return Event(0, "wire", Operation.STORE, Outcome.OK, envelope)


def injected(envelope: Envelope) -> Event:
    return Event(0, "wire", Operation.INJECT, Outcome.OK, envelope)


def buried(envelope: Envelope, **changes: str | None) -> Event:
    added = CONTRACT.dead_letter.headers
    headers: dict[str, str | None] = {
        added["reason"]: "decode_error: junk",
        added["origin"]: envelope.topic,
        added["payload_hash"]: f"sha256:{hashlib.sha256(envelope.payload).hexdigest()}",
        **changes,
    }
    topic = f"{CONTRACT.topic.prefix}.{MADE.env}.dlq.v1.{DOMAIN}"
    return stored(Envelope(topic, envelope.headers.with_(**headers), envelope.payload))


def backlog(count: int) -> Event:
    return Event(0, "broker", Operation.BACKLOG, Outcome.OK, A, count=count)


def moved(poison: Envelope) -> Envelope:
    return replace(buried(poison).envelope, topic=ELSEWHERE)


def refiled(poison: Envelope, domain: str) -> Event:
    letter = buried(poison)
    topic = f"{letter.topic.rpartition('.')[0]}.{domain}"
    return replace(letter, envelope=replace(letter.envelope, topic=topic))


def changed(envelope: Envelope, **headers: str | None) -> Envelope:
    return replace(envelope, headers=envelope.headers.with_(**headers))


B_ID = B.headers["message_id"]
NAMELESS = changed(A, message_id=None)
NO_HASH = f"sha256:{'0' * 64}"
WRONG_KEY = changed(MADE.envelope(DOMAIN), partition_key="not.it")
UNDERSCORED = replace(MADE.envelope(DOMAIN), topic=A.topic.replace(".", "_").replace("_", ".", 1))
OF_ANOTHER_TIER = MADE.envelope("news")
FOUR = [MADE.envelope(DOMAIN, key) for key in range(4)]
UNDECODED = changed(MADE.envelope(DOMAIN), content_encoding="br")
LARGE = MADE.sized(DOMAIN, CONTRACT.payload.compress_above + 1)
ELSEWHERE = f"{CONTRACT.topic.prefix}.{CONTRACT.topic.environments[1]}.dlq.v1.{DOMAIN}"
wrong_on_wire = checkers.broken_on_wire(lambda contract: contract.key_requirements.values())
REDRIVE = Event(0, "operator", Operation.REDRIVE, Outcome.OK, A)
refuses_keys = checkers.violation_accepted(lambda contract: contract.key_requirements.values())

SECRET = Event(0, "operator", Operation.SECRET, Outcome.OK, A, said="pass-1")

GOOD = [
    SECRET,
    SUBSCRIBED,
    *published(A),
    *published(B),
    *published(OTHER),
    *published(WRONG_KEY, Outcome.FAIL),
    *published(UNDERSCORED, Outcome.FAIL, error=f"did you mean {A.topic}?"),
    injected(POISON),
    delivered(A),
    delivered(changed(A, retry_count="1"), attempt=2),
    effect(A),
    delivered(B),
    effect(B),
    delivered(OTHER),
    effect(OTHER),
    stored(A),
    stored(B),
    backlog(1),
    buried(POISON),
    delivered(buried(POISON).envelope),
]

BAD: list[tuple[checkers.Checker, list[Event], int]] = [
    (checkers.nothing_shown, published(A, Outcome.INFO), 1),
    (checkers.nothing_shown, [SUBSCRIBED, *published(A)], 1),
    (
        checkers.credential_shown,
        [SECRET, *published(A, Outcome.FAIL, error="not at me:pass-1@host")],
        1,
    ),
    (checkers.credential_shown, [SECRET, delivered(changed(A, x_note="pass-1"))], 1),
    (checkers.credential_shown, [SECRET, replace(backlog(0), said="key cGFzcy0x")], 1),
    (checkers.credential_shown, [backlog(0)], 1),
    (checkers.lost_write, [SUBSCRIBED, *published(A), *published(B), delivered(B)], 1),
    (
        checkers.duplicate_effect,
        [effect(A), effect(changed(A, message_id=A.headers["message_id"].upper()))],
        2,
    ),
    (checkers.swallowed, [*published(A), *published(B), effect(A)], 1),
    (checkers.key_reordered, [*published(A), *published(B), delivered(B), delivered(A)], 4),
    (checkers.effect_reordered, [*published(A), *published(B), effect(B), effect(A)], 4),
    (checkers.header_changed, [*published(A), delivered(changed(A, source="other"))], 2),
    (checkers.unknown_header_changed, [*published(changed(A, x_one="1")), delivered(A)], 2),
    (checkers.required_header_missing, [*published(A), delivered(changed(A, run_id=None))], 2),
    (checkers.required_header_altered, [*published(A), delivered(changed(A, producer="other"))], 2),
    (checkers.time_rewritten, [*published(A), delivered(changed(A, produced_at="2025-09-05T19:31:01"))], 2),
    (checkers.time_rewritten, [*published(A), delivered(changed(A, produced_at="2025-09-05T19:31:02Z"))], 2),
    (checkers.id_rewritten, [*published(A), stored(changed(A, message_id="no uuid"))], 1),
    (checkers.id_rewritten, [*published(A), stored(B)], 1),
    (checkers.id_rewritten, [*published(A), stored(A), stored(A)], 2),
    (checkers.payload_changed, [*published(A), delivered(replace(A, payload=A.payload[:-1]))], 2),
    (refuses_keys, published(WRONG_KEY), 1),
    (refuses_keys, [*published(WRONG_KEY, Outcome.FAIL), stored(WRONG_KEY)], 2),
    (checkers.hint_missing, published(UNDERSCORED, Outcome.FAIL, error="invalid subject"), 1),
    (checkers.refused_valid, published(A, Outcome.FAIL), 1),
    (checkers.unanswered, published(A, Outcome.INFO), 1),
    (checkers.key_wrong, [stored(WRONG_KEY)], 1),
    (checkers.outside_pattern, [delivered(A, pattern=OTHER.topic)], 1),
    (checkers.dlq_lost, [injected(POISON)], 1),
    (checkers.dlq_lost, [injected(POISON), buried(POISON), buried(POISON)], 3),
    (checkers.dead_letter_changed, [injected(POISON)], 1),
    (checkers.dead_letter_changed, [injected(POISON), buried(replace(POISON, payload=b""))], 2),
    (checkers.dead_letter_changed, [injected(POISON), buried(POISON, message_id="other")], 2),
    (checkers.dead_letter_changed, [injected(POISON), buried(POISON, dlq_reason="it broke")], 2),
    (checkers.dead_letter_changed, [injected(POISON), buried(POISON, dlq_origin_topic=OTHER.topic)], 2),
    (checkers.dead_letter_changed, [injected(POISON), buried(POISON, dlq_payload_hash=None)], 2),
    (checkers.dead_letter_changed, [injected(POISON), buried(POISON, x_more="1")], 2),
    (checkers.dead_letter_changed, [injected(POISON), buried(POISON, dlq_payload_hash=NO_HASH)], 2),
    (checkers.dead_letter_misplaced, [injected(POISON), replace(buried(POISON), envelope=moved(POISON))], 2),
    (checkers.dead_letter_misplaced, [injected(POISON), refiled(POISON, "news")], 2),
    (checkers.dead_letter_unseen, [SUBSCRIBED, injected(POISON), buried(POISON)], 2),
    (checkers.dlq_lost, [SUBSCRIBED, injected(NAMELESS)], 1),
    (checkers.dlq_lost, [injected(POISON), buried(replace(POISON, payload=b""))], 1),
    (checkers.dlq_lost, [injected(NAMELESS), injected(POISON), buried(POISON)], 1),
    (checkers.poison_delivered, [injected(NAMELESS), *published(A), delivered(NAMELESS), delivered(A)], 2),
    (checkers.poison_delivered, [injected(POISON), delivered(replace(POISON, payload=A.payload))], 2),
    (checkers.poison_retried, [injected(POISON), delivered(POISON)], 2),
    (checkers.poison_retried, [injected(POISON), buried(POISON, retry_count="2")], 2),
    (checkers.poison_delivered, [injected(UNDECODED), delivered(UNDECODED)], 2),
    (checkers.reason_wrong, [injected(POISON), buried(POISON, dlq_reason="contract_violation: x")], 2),
    (checkers.cross_env, [injected(POISON), replace(buried(POISON), envelope=moved(POISON))], 2),
    (checkers.topic_changed, [*published(A), delivered(replace(A, topic=OTHER.topic))], 2),
    (checkers.sent_plain, [*published(LARGE), stored(LARGE)], 2),
    (checkers.sent_plain, published(LARGE), 1),
    (wrong_on_wire, [stored(WRONG_KEY)], 1),
    (checkers.stale_end, [*published(A), *published(B), effect(B), effect(A)], 2),
    (checkers.dedupe_repeated, [effect(changed(A, dedupe_key="x")), effect(changed(B, dedupe_key="x"))], 2),
    (checkers.attempts_wrong, tried(A, *on_time()[:-1]), 2),
    (checkers.attempts_wrong, tried(A, *on_time(), 5), 2),
    (checkers.backoff_wrong, tried(A, *on_time()[:-1], on_time()[-2] + 0.001), 2),
    (checkers.backoff_wrong, tried(A, *on_time()[:-1], on_time()[-1] + 10), 2),
    (checkers.backoff_wrong, [*tried(A, 0), replace(stored(A), at=10_000_000_000)], 1),
    (checkers.backoff_unjittered, [event for item in FOUR for event in tried(item, 0, 0.02)], 2),
    (
        checkers.backoff_unjittered,
        [event for item in FOUR for event in tried(item, 0, 0.02)] + tried(OF_ANOTHER_TIER, 0, 0.05),
        2,
    ),
    (checkers.retry_count_wrong, tried(A, 0, 1), 1),
    (checkers.definite_but_stored, [*published(A, Outcome.FAIL), stored(A)], 2),
    (checkers.id_invented, [*published(A), stored(B)], 1),
    (checkers.acked_before_dead_letter, [injected(POISON), backlog(0)], 2),
    (checkers.redrive_wrong, [REDRIVE, stored(A), buried(A)], 2),
    (checkers.redrive_wrong, [REDRIVE, stored(A), buried(A), stored(A), stored(A)], 4),
    (checkers.redrive_wrong, [REDRIVE, stored(A), buried(A), stored(changed(A, dlq_reason="x"))], 2),
    (checkers.dlq_loop, [injected(POISON), buried(POISON), buried(POISON)], 2),
    (
        checkers.other_key_blocked,
        [*published(A), delivered(A), *published(OTHER), effect(A), delivered(OTHER), effect(OTHER)],
        2,
    ),
]


@pytest.mark.parametrize(
    "checker",
    {checker.__name__: checker for checker, _history, _size in BAD}.values(),
    ids=lambda c: c.__name__,
)
def test_a_good_history_has_no_anomaly(checker: Callable[..., list[Anomaly]]) -> None:
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


def test_pauses_as_the_contract_says_are_no_anomaly() -> None:
    history = [*tried(A, *on_time()), *tried(B, *on_time(0.5))]
    assert checkers.attempts_wrong(history, CONTRACT) == []
    assert checkers.backoff_wrong(history, CONTRACT) == []


def test_a_message_stored_again_as_it_first_was_is_a_good_redrive() -> None:
    assert checkers.redrive_wrong([REDRIVE, stored(A), buried(A), stored(A)], CONTRACT) == []


def test_a_shown_credential_is_masked_in_the_evidence() -> None:
    history = [SECRET, delivered(changed(A, x_note="pass-1"))]
    (anomaly,) = checkers.credential_shown(history, CONTRACT)
    assert "pass-1" not in str(anomaly)


HOMELESS = [
    replace(POISON, topic=POISON.topic.replace(f".{MADE.env}.", ".staging.")),
    replace(POISON, topic=POISON.topic.replace(f".{DOMAIN}.", ".nosuch.")),
    replace(POISON, topic=f"{CONTRACT.topic.prefix}.{MADE.env}"),
]


@pytest.mark.parametrize("poison", HOMELESS, ids=lambda item: item.topic)
def test_what_has_no_dlq_is_in_one_or_in_none(poison: Envelope) -> None:
    arrived = [SUBSCRIBED, injected(poison)]
    for history in (arrived, [*arrived, refiled(poison, "nosuch")]):
        for checker in (checkers.dlq_lost, checkers.dead_letter_changed, checkers.dead_letter_misplaced):
            assert checker(history, CONTRACT) == []
    twice = [*arrived, refiled(poison, "nosuch"), refiled(poison, "nosuch")]
    assert len(checkers.dlq_lost(twice, CONTRACT)) == 1
    assert len(checkers.poison_delivered([*arrived, delivered(poison)], CONTRACT)) == 1


def test_what_nobody_consumes_is_not_due_in_the_dlq() -> None:
    elsewhere = replace(SUBSCRIBED, pattern=MADE.envelope("news").topic)
    assert checkers.dlq_lost([elsewhere, injected(POISON)], CONTRACT) == []
    assert len(checkers.dlq_lost([SUBSCRIBED, injected(POISON)], CONTRACT)) == 1


def test_a_broken_dead_letter_is_for_its_consumers_and_never_dead_lettered() -> None:
    letter = changed(buried(POISON).envelope, dlq_origin_topic=None)
    history = [SUBSCRIBED, injected(letter), delivered(letter), stored(letter)]
    for checker in (checkers.dlq_lost, checkers.poison_delivered, checkers.poison_retried):
        assert checker(history, CONTRACT) == []


def test_only_the_last_backlog_must_be_empty() -> None:
    assert checkers.source_unacknowledged([backlog(2), backlog(0)], CONTRACT) == []
    (anomaly,) = checkers.source_unacknowledged([backlog(0), backlog(2)], CONTRACT)
    assert "2 messages stayed unacknowledged" in anomaly.sentence


def test_headers_of_the_dlq_replace_those_that_were_there() -> None:
    odd = changed(POISON, dlq_reason="nonsense", retry_count="7")
    history = [injected(odd), buried(odd)]
    assert checkers.dead_letter_changed(history, CONTRACT) == []
    assert checkers.poison_retried(history, CONTRACT) == []


def test_the_hash_of_a_dead_letter_is_of_the_bytes_before_compression() -> None:
    plain = b"\xff\xfe" + A.payload
    packed = replace(changed(POISON, content_encoding="gzip"), payload=gzip.compress(plain))
    right = buried(packed, dlq_payload_hash=f"sha256:{hashlib.sha256(plain).hexdigest()}")
    assert checkers.dead_letter_changed([injected(packed), right], CONTRACT) == []
    assert len(checkers.dead_letter_changed([injected(packed), buried(packed)], CONTRACT)) == 1


def test_a_consumer_of_the_dlq_may_miss_a_repeat() -> None:
    one, other = changed(POISON, dedupe_key="x"), changed(POISON, dedupe_key="x", message_id=B_ID)
    history = [SUBSCRIBED, injected(one), injected(other), buried(one), buried(other)]
    assert len(checkers.dead_letter_unseen(history, CONTRACT)) == 2
    taken = [*history, delivered(buried(one).envelope)]
    assert checkers.dead_letter_unseen(taken, CONTRACT) == []


def test_order_is_judged_within_an_environment_and_a_domain() -> None:
    first, second = A, MADE.envelope(DOMAIN, 0, env=CONTRACT.topic.environments[1])
    history = [*published(first), *published(second), delivered(second), delivered(first)]
    assert checkers.key_reordered(history, CONTRACT) == []


def test_order_is_judged_within_a_key_only() -> None:
    history = [*published(A), *published(OTHER), delivered(OTHER), delivered(A)]
    assert checkers.key_reordered(history, CONTRACT) == []


def test_a_refusal_that_another_try_makes_good_is_no_gap() -> None:
    refused, taken = published(A, Outcome.FAIL), published(A)
    assert checkers.refused_valid([*refused, *taken], CONTRACT) == []
    assert len(checkers.refused_valid([*refused, *published(B)], CONTRACT)) == 1


def test_a_refusal_that_was_tried_again_and_taken_is_no_lie() -> None:
    history = [*published(A, Outcome.FAIL), *published(A), stored(A)]
    assert checkers.refused_at_last_but_stored(history, CONTRACT) == []
    lied = [*published(A, Outcome.FAIL), stored(A)]
    assert (
        checkers.refused_at_last_but_stored(lied, CONTRACT)
        == checkers.definite_but_stored(lied, CONTRACT)
        != []
    )
