"""Hand-written histories, good and bad, for the checkers of metrics, log records and spans."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from ampybus_contract import Envelope
from ampybus_contract.contract import default_contract
from ampybus_contract.harness import checkers
from ampybus_contract.harness.history import Event, Operation, Outcome
from ampybus_contract.harness.workload import Workload

CONTRACT = default_contract()
MADE = Workload(CONTRACT, 1)
DOMAIN = MADE.keyed_domain()
A = MADE.noted(DOMAIN, "a text that is long enough to be found again")
FAMILY = ".".join(A.topic.split(".")[:4])
PRODUCER = A.headers["producer"]
TRACE = A.headers["trace_id"]
ID = A.headers["message_id"]
DEAD = f"{CONTRACT.topic.prefix}.{MADE.env}.dlq.v1.{DOMAIN}"
DEAD_FAMILY = ".".join(DEAD.split(".")[:4])
LETTER = Envelope(
    DEAD,
    A.headers.with_(dlq_reason="decode_error: junk", dlq_origin_topic=A.topic),
    A.payload,
)
TEXT = f"""\
# TYPE bus_produced_total counter
bus_produced_total{{topic="{FAMILY}",producer="{PRODUCER}"}} 1
# TYPE bus_consumed_total counter
bus_consumed_total{{topic="{FAMILY}",consumer="consumer"}} 1
# TYPE bus_delivery_latency_ms histogram
bus_delivery_latency_ms_bucket{{topic="{FAMILY}",le="+Inf"}} 1
bus_delivery_latency_ms_count{{topic="{FAMILY}"}} 1
bus_delivery_latency_ms_sum{{topic="{FAMILY}"}} 3.5
# TYPE bus_batch_size_bytes histogram
bus_batch_size_bytes_bucket{{topic="{FAMILY}",le="+Inf"}} 1
bus_batch_size_bytes_count{{topic="{FAMILY}"}} 1
bus_batch_size_bytes_sum{{topic="{FAMILY}"}} 90
# TYPE bus_consumer_lag gauge
bus_consumer_lag{{topic="{FAMILY}",consumer="consumer"}} 0
# TYPE bus_dlq_total counter
bus_dlq_total{{topic="{FAMILY}",reason="decode_error"}} 1
# TYPE bus_retry_total counter
bus_retry_total{{topic="{FAMILY}",reason="handler_error"}} 1
# TYPE bus_decode_fail_total counter
bus_decode_fail_total{{topic="{FAMILY}",reason="decode_error"}} 1
"""


def event(operation: Operation, envelope: Envelope = A, actor: str = "consumer", **more: Any) -> Event:
    return Event(0, actor, operation, more.pop("outcome", Outcome.OK), envelope, **more)


def metrics(text: str = TEXT) -> Event:
    return event(Operation.METRICS, said=text)


def log(result: str, **changes: Any) -> Event:
    record = {
        "message_id": ID, "trace_id": TRACE, "topic": A.topic, "result": result, "latency_ms": 3.5,
        "consumer": "consumer", **changes,
    }  # fmt: skip
    return event(Operation.LOG, said=json.dumps(record))


def span(role: str, number: str, parent: str | None, topic: str = A.topic, **changes: Any) -> Event:
    rule = CONTRACT.tracing.spans[role]
    family = ".".join(topic.split(".")[:4])
    plain = {
        "name": rule.name.replace("{family}", family), "kind": rule.kind, "trace_id": TRACE,
        "span_id": number, "parent_span_id": parent, "links": [],
        "attributes": {
            "messaging.operation.type": rule.operation, "messaging.destination.name": topic,
            "messaging.destination.template": family, "messaging.message.id": ID,
        },
        **changes,
    }  # fmt: skip
    return event(Operation.SPAN, said=json.dumps(plain))


WORK = [
    event(Operation.PUBLISH, actor="producer", outcome=Outcome.INVOKE),
    event(Operation.PUBLISH, actor="producer"),
    event(Operation.DELIVER),
    event(Operation.DELIVER, attempt=2),
    event(Operation.EFFECT, attempt=2),
    event(Operation.STORE, actor="wire"),
    event(Operation.STORE, LETTER, actor="wire"),
]
LOGS = [log("ok", consumer=None, producer=PRODUCER), log("retry"), log("ok"), log("dlq")]
SPANS = [
    span("publish", "01", None),
    span("consume", "02", "01"),
    span("handle", "03", "02"),
    span("handle", "04", None, links=[{"trace_id": TRACE, "span_id": "01"}]),
    span("route", "05", "02", DEAD),
]
GOOD = [*WORK, metrics(), *LOGS, *SPANS]


def without(part: list[Event], index: int, *more: Event) -> list[Event]:
    return [*WORK, *(item for number, item in enumerate(part) if number != index), *more]


def text(old: str, new: str) -> list[Event]:
    assert old in TEXT
    return [*WORK, metrics(TEXT.replace(old, new))]


BAD: list[tuple[checkers.Checker, list[Event]]] = [
    (checkers.metric_misnamed, text("bus_dlq_total", "bus_dead_total")),
    (checkers.metric_misnamed, text("bus_consumer_lag gauge", "bus_consumer_lag counter")),
    (checkers.metric_misnamed, text('consumer_lag{topic="', 'consumer_lag{subject="')),
    (checkers.metric_misnamed, text(f'lag{{topic="{FAMILY}"', f'lag{{topic="{A.topic}"')),
    (checkers.counter_wrong, text('consumer="consumer"} 1', 'consumer="consumer"} 2')),
    (checkers.counter_wrong, text('reason="handler_error"} 1', 'reason="handler_error"} 0')),
    (checkers.counter_wrong, text("bus_delivery_latency_ms_count", "bus_delivery_latency_ms_number")),
    (checkers.reason_undeclared, text('reason="handler_error"', 'reason="it broke"')),
    (checkers.reason_undeclared, text("bus_retry_total{", "bus_again_total{")),
    (checkers.latency_negative, text("} 3.5", "} -3.5")),
    (checkers.latency_negative, text('latency_ms_count{topic="', 'latency_ms_number{topic="')),
    (checkers.log_incomplete, without(LOGS, 1)),
    (checkers.log_incomplete, without(LOGS, 3)),
    (checkers.log_incomplete, [*WORK, *LOGS, log("ok", trace_id=None)]),
    (checkers.log_incomplete, [*WORK, *LOGS, log("ok", consumer=None)]),
    (checkers.log_incomplete, [*WORK, *LOGS, log("fine")]),
    (checkers.log_incomplete, [*WORK, *LOGS, event(Operation.LOG, said="stored it")]),
    (checkers.payload_logged, [*WORK, log("ok", got=A.payload.decode("latin-1"))]),
    (checkers.payload_logged, [*WORK, log("ok", got=A.payload[:30].hex().upper())]),
    (checkers.payload_logged, [*WORK, log("ok", got=base64.b64encode(A.payload).decode())]),
    (checkers.span_missing, without(SPANS, 0)),
    (checkers.span_missing, without(SPANS, 2)),
    (checkers.span_missing, without(SPANS, 4)),
    (checkers.span_missing, without(SPANS, 0, span("publish", "01", None, name="send it"))),
    (checkers.span_missing, without(SPANS, 0, span("publish", "01", None, kind="internal"))),
    (checkers.trace_broken, without(SPANS, 2, span("handle", "03", "02", trace_id="f" * 32))),
    (checkers.trace_broken, without(SPANS, 1, span("consume", "02", "77"))),
]


@pytest.mark.parametrize(
    "checker", {checker.__name__: checker for checker, _history in BAD}.values(), ids=lambda c: c.__name__
)
def test_a_good_history_has_no_anomaly(checker: checkers.Checker) -> None:
    assert checker(GOOD, CONTRACT) == []


@pytest.mark.parametrize(("checker", "history"), BAD, ids=lambda value: getattr(value, "__name__", ""))
def test_a_bad_history_has_an_anomaly_that_names_what_shows_it(
    checker: checkers.Checker, history: list[Event]
) -> None:
    found = checker(history, CONTRACT)
    assert found
    assert all(anomaly.sentence and anomaly.events for anomaly in found)


@pytest.mark.parametrize(
    "checker",
    [
        checkers.metric_misnamed, checkers.counter_wrong, checkers.reason_undeclared,
        checkers.latency_negative, checkers.log_incomplete, checkers.span_missing,
    ],
    ids=lambda c: c.__name__,
)  # fmt: skip
def test_telemetry_that_is_claimed_and_not_there_is_an_anomaly(checker: checkers.Checker) -> None:
    assert checker(WORK, CONTRACT)


def test_an_indefinite_publish_may_count_or_not() -> None:
    open_ended = replace(WORK[1], outcome=Outcome.INFO)
    nothing = TEXT.replace(f'producer="{PRODUCER}"}} 1', f'producer="{PRODUCER}"}} 0').replace(
        f'batch_size_bytes_count{{topic="{FAMILY}"}} 1', f'batch_size_bytes_count{{topic="{FAMILY}"}} 0'
    )
    for shown in (TEXT, nothing):
        assert checkers.counter_wrong([WORK[0], open_ended, *WORK[2:], metrics(shown)], CONTRACT) == []
    assert checkers.counter_wrong([*WORK, metrics(nothing)], CONTRACT)


SUBSCRIBED = event(Operation.SUBSCRIBE, pattern=f"{CONTRACT.topic.prefix}.>")
NOTHING_LEFT = event(Operation.BACKLOG, actor="broker", count=0)
LAG = f'bus_consumer_lag{{topic="{FAMILY}",consumer="consumer"}} 0'


def test_a_lag_that_the_broker_says_too_is_no_anomaly() -> None:
    left = replace(NOTHING_LEFT, count=3)
    later = metrics(TEXT.replace(LAG, LAG[:-1] + "3"))
    history = [SUBSCRIBED, *WORK, NOTHING_LEFT, metrics(), metrics("before it was asked"), left, later]
    assert checkers.lag_stale(history, CONTRACT) == []


@pytest.mark.parametrize(
    "end",
    [
        [replace(NOTHING_LEFT, count=3), metrics()],
        [NOTHING_LEFT, metrics(TEXT.replace(LAG, ""))],
        [NOTHING_LEFT, metrics(TEXT.replace(LAG, LAG.replace("consumer=", "group=")[:-1] + "9"))],
        [NOTHING_LEFT, metrics(TEXT.replace(LAG, LAG.replace('"consumer"', '"another"')))],
        [NOTHING_LEFT],
        [NOTHING_LEFT, NOTHING_LEFT, metrics()],
        [metrics()],
    ],
)
def test_a_lag_that_the_broker_does_not_say_is_an_anomaly(end: list[Event]) -> None:
    found = checkers.lag_stale([SUBSCRIBED, *WORK, *end], CONTRACT)
    assert found
    assert all(anomaly.sentence and anomaly.events for anomaly in found)
