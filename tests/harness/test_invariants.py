"""What holds in every history: hand-written breaches of each rule, and where they are reported."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from ampybus_contract import Envelope, Headers
from ampybus_contract.bindings.memory import MemoryTransport
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.brokers.memory import MemorySource
from ampybus_contract.harness import checkers
from ampybus_contract.harness.checkers.invariants import INVARIANTS, broken_invariants
from ampybus_contract.harness.history import RAISED, Anomaly, Event, Operation, Outcome
from ampybus_contract.harness.judge import Judge, whole
from ampybus_contract.harness.playing import furnished, play
from ampybus_contract.harness.schedules import Scheduled
from ampybus_contract.harness.verdicts import Result, Verdict, worst
from ampybus_contract.harness.workload import Workload
from tests.harness.judging import CONTRACT, SUITES

MADE = Workload(CONTRACT, 1)
DOMAIN = MADE.keyed_domain()
A, B = MADE.envelope(DOMAIN, 0), MADE.envelope(DOMAIN, 0)
PATTERN = f"{CONTRACT.topic.prefix}.>"
RULE = CONTRACT.retry_of(DOMAIN)
LONG = round((RULE.backoff_max + 10) * 1e9)
FAULT = Event(0, "broker", Operation.FAULT, Outcome.OK, Envelope("", Headers({}), b""))
ALL = frozenset({"retry", "dlq", "deduplication", "replay", "redrive"})


def published(envelope: Envelope) -> list[Event]:
    return [
        Event(0, "producer", Operation.PUBLISH, Outcome.INVOKE, envelope),
        Event(0, "producer", Operation.PUBLISH, Outcome.OK, envelope),
    ]


def delivered(envelope: Envelope, attempt: int = 1, at: int = 0) -> Event:
    count = {"retry_count": str(attempt - 1) if attempt > 1 else None}
    counted = replace(envelope, headers=envelope.headers.with_(**count))
    return Event(at, "consumer", Operation.DELIVER, Outcome.OK, counted, attempt, PATTERN)


def failed(envelope: Envelope, answer: str = "retry", attempt: int = 1, at: int = 0) -> Event:
    return Event(at, "consumer", Operation.SETTLE, Outcome.OK, envelope, attempt, PATTERN, answer)


def applied(envelope: Envelope, at: int = 0) -> Event:
    return Event(at, "consumer", Operation.EFFECT, Outcome.OK, envelope)


def stored(envelope: Envelope) -> Event:
    return Event(LONG, "wire", Operation.STORE, Outcome.OK, envelope)


def letter(envelope: Envelope, kind: str = "exhausted", **changes: str | None) -> Event:
    binding = ReferenceBinding(MemoryTransport(), CONTRACT)
    dead = binding.dead_letter(envelope, kind, "as told")
    return stored(replace(dead, headers=dead.headers.with_(**changes)))


SUBSCRIBED = Event(0, "consumer", Operation.SUBSCRIBE, Outcome.OK, A, pattern=PATTERN)
START = [SUBSCRIBED, *published(A), stored(A)]
TRIES = [
    event
    for number in range(1, RULE.attempts + 1)
    for event in (delivered(A, number), failed(A, attempt=number))
]
OTHER_TOPIC = replace(A, topic=A.topic.replace(f".{DOMAIN}.", ".other."))

BREACHES: list[tuple[str, checkers.Checker, list[Event]]] = [
    ("more tries than the tier has", checkers.attempts_exceeded, [*START, *TRIES, *TRIES[:2]]),
    (
        "given again though refused",
        checkers.rejected_again,
        [*START, delivered(A), failed(A, "reject"), delivered(A, 2)],
    ),
    (
        "a handler that raised is left alone",
        checkers.failure_abandoned,
        [*START, delivered(A), failed(A, RAISED), stored(B)],
    ),
    ("failed to the end and nowhere", checkers.failure_lost, [*START, *TRIES, stored(B)]),
    (
        "refused and nowhere",
        checkers.failure_lost,
        [*START, delivered(A), failed(A, "reject"), stored(B)],
    ),
    ("a good message in the DLQ", checkers.letter_uncaused, [*START, delivered(A), applied(A), letter(A)]),
    (
        "exhausted, and called refused",
        checkers.letter_reason_untrue,
        [*START, *TRIES, letter(A, "rejected")],
    ),
    (
        "a second try that does not count",
        checkers.retry_uncounted,
        [*START, delivered(A), failed(A), replace(delivered(A), attempt=2)],
    ),
    ("never applied", checkers.unapplied, [*START, *published(B), delivered(A), applied(A)]),
    (
        "a header changed on the wire",
        checkers.wire_changed,
        [*published(A), stored(replace(A, headers=A.headers.with_(producer="other@1")))],
    ),
    ("acknowledged and not stored", checkers.unstored, [*published(A), *published(B), stored(B)]),
    ("other bytes on the wire", checkers.wire_changed, [*published(A), stored(replace(A, payload=b""))]),
    ("another topic on the wire", checkers.wire_changed, [*published(A), stored(OTHER_TOPIC)]),
    (
        "a span that nobody asked for",
        checkers.span_rewritten,
        [*published(A), delivered(replace(A, headers=A.headers.with_(span_id="00f067aa0ba902b7")))],
    ),
    ("a letter without a header", checkers.letter_differs, [*START, *TRIES, letter(A, run_id=None)]),
    (
        "a letter with another hash",
        checkers.letter_differs,
        [*START, *TRIES, letter(A, dlq_payload_hash="sha256:" + "0" * 64)],
    ),
    (
        "a letter with another origin",
        checkers.letter_differs,
        [*START, *TRIES, letter(A, dlq_origin_topic=OTHER_TOPIC.topic)],
    ),
    (
        "a letter in another domain's DLQ",
        checkers.letter_differs,
        [*START, *TRIES, stored(replace(letter(A).envelope, topic=letter(A).topic.replace(DOMAIN, "fx")))],
    ),
]

SOUND: list[tuple[str, list[Event]]] = [
    ("at once", [*START, delivered(A), applied(A)]),
    ("at the second try", [*START, *TRIES[:2], delivered(A, 2), applied(A)]),
    ("exhausted and set aside", [*START, *TRIES, letter(A)]),
    ("refused and set aside", [*START, delivered(A), failed(A, "reject"), letter(A, "rejected")]),
    ("still at work at the end", [*START, delivered(A, at=LONG), failed(A, at=LONG)]),
]


@pytest.mark.parametrize(("name", "checker", "history"), BREACHES, ids=[item[0] for item in BREACHES])
def test_a_breach_is_found(name: str, checker: checkers.Checker, history: list[Event]) -> None:
    assert checker(history, CONTRACT), name


@pytest.mark.parametrize(("name", "history"), SOUND, ids=[item[0] for item in SOUND])
def test_a_sound_history_breaks_no_invariant(name: str, history: list[Event]) -> None:
    assert list(broken_invariants(history, CONTRACT, ALL)) == [], name


def test_what_a_restart_begins_anew_is_no_breach() -> None:
    again = [*START, *TRIES, FAULT, *TRIES[:2], delivered(A, 2), applied(A)]
    assert checkers.attempts_exceeded(again, CONTRACT) == []
    assert checkers.retry_uncounted(again, CONTRACT) == []


def test_an_invariant_holds_where_its_check_does() -> None:
    (rule,) = [item for item in INVARIANTS if item.checker is checkers.duplicate_effect]
    assert rule.applies({"deduplication"}, CONTRACT)
    assert not rule.applies(set(), CONTRACT)
    (spans,) = [item for item in INVARIANTS if item.checker is checkers.span_rewritten]
    assert spans.applies(set(), CONTRACT)
    assert not spans.applies({"tracing"}, CONTRACT)


def test_every_invariant_is_reported_under_a_check_of_the_contract() -> None:
    assert [item.check for item in INVARIANTS if item.check not in CONTRACT.judged] == []


def judged(check: str, factory: Callable[[], ReferenceBinding]) -> Result:
    suite = SUITES[check]
    return Judge(CONTRACT, MemorySource(), factory, 1).judge(check, suite.scenario, suite.checkers)


def test_a_failure_is_reported_under_its_own_check_with_the_history_where_it_was_seen() -> None:
    class Untruthful(ReferenceBinding):
        def dead_letter(self, envelope: Envelope, kind: str, detail: str) -> Envelope:
            dead = super().dead_letter(envelope, kind, detail)
            return replace(dead, headers=dead.headers.with_(run_id="other"))

    result = judged("DLQ-01", lambda: Untruthful(MemoryTransport(), CONTRACT))
    assert result.verdict is Verdict.PASS
    (other,) = [item for item in result.also if item.check == "DLQ-03"]
    assert other.seen_in == "DLQ-01"
    assert "run_id" in other.reason
    assert other.evidence
    assert whole(result).verdict is Verdict.FAIL
    assert Result.from_dict(result.to_dict()) == result


def test_of_several_results_the_worst_stays_and_of_failures_the_checks_own() -> None:
    seen = Result("A", Verdict.FAIL, "elsewhere", seen_in="B")
    own, passed = Result("A", Verdict.FAIL, "own"), Result("A", Verdict.PASS)
    assert worst([seen, passed])["A"] is seen
    assert worst([passed, seen])["A"] is seen
    assert worst([seen, own])["A"] is own
    assert worst([own, seen])["A"] is own
    assert worst([passed, Result("A", Verdict.DEVIATION)])["A"].verdict is Verdict.DEVIATION


def mutilated(history: list[Event], draw: random.Random) -> list[Event]:
    """A history as no judge would write it: events gone, doubled and moved, headers gone, topics cut."""
    found: list[Event] = []
    for item in history:
        kind = draw.randrange(12)
        if kind == 0:
            continue
        envelope = item.envelope
        if kind == 1 and envelope.headers:
            name = draw.choice(sorted(envelope.headers))
            envelope = replace(
                envelope, headers=envelope.headers.with_(**{name: draw.choice([None, "", "x"])})
            )
        elif kind == 2:
            envelope = replace(envelope, topic=envelope.topic[: draw.randrange(len(envelope.topic) + 1)])
        elif kind == 3:
            envelope = replace(envelope, payload=draw.randbytes(4))
        found.append(replace(item, envelope=envelope))
        if kind == 4:
            found.append(item)
        if kind == 5 and len(found) > 1:
            found[-1], found[-2] = found[-2], found[-1]
    return found


@pytest.mark.parametrize("check", ["DLQ-12", "DLQ-13", "RPL-04", "RPL-06", "OBS-02", "IDM-08", "AUD-01"])
def test_no_checker_raises_on_a_mutilated_history(check: str) -> None:
    source, suite = MemorySource(), SUITES[check]
    place = furnished(source.stream(), True)

    def make() -> ReferenceBinding:
        return ReferenceBinding(MemoryTransport(), CONTRACT)

    assert not isinstance(suite.scenario, Scheduled)
    history = source.run(play(CONTRACT, make, place, suite.scenario, 1, 5.0))
    draw = random.Random(check)
    asked = [item.checker for item in INVARIANTS] + [
        checker for other in SUITES.values() for checker in other.checkers
    ]
    for _ in range(6):
        damaged = mutilated(list(history), draw)
        for checker in dict.fromkeys(asked):
            found: list[Anomaly] = checker(damaged, CONTRACT)
            assert isinstance(found, list)
