"""The chapters beyond envelope and topic as frozen values: replay, telemetry, security, levels, services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReasonRule:
    """A reason code: what it means, which kinds of failure it names, if a dead letter can hold it."""

    code: str
    meaning: str
    kinds: tuple[str, ...]
    final: bool


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """For how many days records are kept at least: in the live logs, and in the analytical cluster."""

    live_days: int
    analytical_days: int


@dataclass(frozen=True, slots=True)
class ReplayRule:
    """Section 10 and D26: the header that a window compares, the scopes, the control topic and its payload.

    ``window`` says whether start and end are ``included`` or ``excluded``. A lookup by the broker's time
    starts ``lookup_slack_seconds`` earlier and ends as much later.
    """

    window: Mapping[str, str]
    scopes: Mapping[str, str]
    control_topic: str
    request: str
    header: str
    lookup_slack_seconds: float
    checkpoint_of: tuple[str, ...]
    checkpoint_stored: str
    retention: Mapping[str, RetentionRule]


@dataclass(frozen=True, slots=True)
class PointerRule:
    """Section 9: the pointer headers, and the reason code for a stored object that differs or is absent."""

    headers: tuple[str, ...]
    on_mismatch: str
    on_missing: str


@dataclass(frozen=True, slots=True)
class MetricRule:
    """One metric of section 11: what it measures, kind counter, gauge or histogram, unit and labels."""

    name: str
    prometheus_name: str
    measures: str
    kind: str
    unit: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LabelRule:
    """What a label holds: a topic family or a service by ``form``, or one of a closed set of ``values``."""

    name: str
    holds: str
    form: str | None
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LogRule:
    """D33: the fields of every log record, one of ``one_of``, and where the payload must not appear."""

    record: str
    fields: tuple[str, ...]
    one_of: tuple[str, ...]
    results: tuple[str, ...]
    payload_forbidden_as: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SpanRule:
    """One span of D34: its name, OpenTelemetry span kind and messaging operation type."""

    name: str
    kind: str
    operation: str


@dataclass(frozen=True, slots=True)
class TracingRule:
    """D34: the header that carries the context, what a trace survives, spans and their attributes."""

    propagates: str
    continues_across: tuple[str, ...]
    consumer_links_producer: bool
    spans: Mapping[str, SpanRule]
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SecurityRule:
    """Section 12, D35 and D36: TLS, principals, secrets, and the meaning of each personal-data policy."""

    tls_minimum: str
    tls_verify: tuple[str, ...]
    tls_client_certificate: str
    tls_on_rotation: str
    principal: str
    acl_default: str
    acl_denied_with: str
    secrets_from: str
    secrets_never_in: tuple[str, ...]
    personal_data: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LatencyObjective:
    """Publish to first delivery: at ``percentile`` at most so many milliseconds."""

    percentile: float
    at_most_ms: float


@dataclass(frozen=True, slots=True)
class ServiceLevels:
    """Section 13, D38, D39: latency objectives, how to measure, availability as a share, recovery."""

    latency: Mapping[str, LatencyObjective]
    measured_from: str
    measured_to: str
    clock: str
    loop: str
    minimum_samples: int
    typical_from_bytes: int
    typical_to_bytes: int
    availability_at_least: float
    availability_window: str
    recovery_point_seconds: int
    recovery_time_seconds: int


@dataclass(frozen=True, slots=True)
class ServiceRule:
    """One service of sections 19 and 20: what it publishes and reads, as patterns after the environment."""

    name: str
    role: str
    language: str
    publishes: tuple[str, ...]
    reads: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NatsMapping:
    """D29: how an envelope travels over NATS; a dead letter's deduplication value gets the prefix."""

    subject: str
    deduplication_header: str
    deduplication_value: str
    dead_letter_prefix: str
    max_payload_counts_headers: bool


@dataclass(frozen=True, slots=True)
class KafkaMapping:
    """D30: Kafka topic = topic family; the header that is the key, and the one that restores the topic."""

    topic: str
    key: str
    topic_header: str
    partitions: str
    order_within: str


@dataclass(frozen=True, slots=True)
class BackpressureRule:
    """D28: how many records a consumer holds unsettled, which domains slow first, and the lag metric."""

    in_flight: int
    slow_first: str
    drops: str
    lag_metric: str
