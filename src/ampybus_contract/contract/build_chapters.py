"""Chapter sources as typed values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ampybus_contract.contract.chapters import (
    BackpressureRule,
    KafkaMapping,
    LabelRule,
    LatencyObjective,
    LogRule,
    MetricRule,
    NatsMapping,
    PointerRule,
    ReasonRule,
    ReplayRule,
    RetentionRule,
    SecurityRule,
    ServiceLevels,
    ServiceRule,
    SpanRule,
    TracingRule,
)

Data = Mapping[str, Any]


def reasons(data: Data) -> dict[str, ReasonRule]:
    """The closed set of reason codes."""
    return {
        code: ReasonRule(code, item["meaning"], tuple(item["kinds"]), item["final"])
        for code, item in data["reasons"].items()
    }


def backpressure(data: Data) -> BackpressureRule:
    """Section 8."""
    return BackpressureRule(data["in_flight"], data["slow_first"], data["drops"], data["lag"]["metric"])


def pointer(data: Data) -> PointerRule:
    """Section 9."""
    return PointerRule(tuple(data["headers"]), data["on_mismatch"], data["on_missing"])


def replay(data: Data) -> ReplayRule:
    """Section 10."""
    return ReplayRule(
        data["window"],
        {name: item["meaning"] for name, item in data["scopes"].items()},
        data["control_topic"],
        data["request"],
        data["header"],
        data["lookup_slack_seconds"],
        tuple(data["checkpoint"]["of"]),
        data["checkpoint"]["stored"],
        {name: RetentionRule(**item) for name, item in data["retention"].items()},
    )


def metrics(data: Data) -> dict[str, MetricRule]:
    """The standard metrics of section 11."""
    return {
        name: MetricRule(
            name,
            name.replace(".", data["prometheus_separator"]),
            item["measures"],
            item["kind"],
            item["unit"],
            tuple(item["labels"]),
        )
        for name, item in data["metrics"].items()
    }


def labels(data: Data, codes: tuple[str, ...]) -> dict[str, LabelRule]:
    """What the labels hold; ``codes`` are the values of one that holds a reason code."""
    return {
        name: LabelRule(
            name, item["holds"], item.get("form"), codes if item["holds"] == "reason_code" else ()
        )
        for name, item in data["labels"].items()
    }


def logs(data: Data) -> LogRule:
    """Log records of section 11."""
    return LogRule(
        data["record"],
        *(tuple(data[name]) for name in ("fields", "one_of", "results", "payload_forbidden_as")),
    )


def tracing(data: Data) -> TracingRule:
    """Spans of section 11."""
    return TracingRule(
        data["propagates"],
        tuple(data["continues_across"]),
        data["consumer_links_producer"],
        {name: SpanRule(**item) for name, item in data["spans"].items()},
        data["attributes"],
    )


def security(data: Data) -> SecurityRule:
    """Section 12."""
    tls, acl, secrets = data["tls"], data["acl"], data["secrets"]
    return SecurityRule(
        tls["minimum"],
        tuple(tls["verify"]),
        tls["client_certificate"],
        tls["on_rotation"],
        acl["principal"],
        acl["default"],
        acl["denied_with"],
        secrets["from"],
        tuple(secrets["never_in"]),
        {name: item["meaning"] for name, item in data["personal_data"].items()},
    )


def service_levels(data: Data) -> ServiceLevels:
    """Section 13."""
    measurement, payload = data["measurement"], data["payload"]
    return ServiceLevels(
        {name: LatencyObjective(**item) for name, item in data["latency"].items()},
        measurement["from"],
        measurement["to"],
        measurement["clock"],
        measurement["loop"],
        measurement["minimum_samples"],
        payload["typical_from_bytes"],
        payload["typical_to_bytes"],
        data["availability"]["at_least"],
        data["availability"]["window"],
        data["recovery"]["point_objective_seconds"],
        data["recovery"]["time_objective_seconds"],
    )


def services(data: Data) -> dict[str, ServiceRule]:
    """The service map."""
    return {
        name: ServiceRule(
            name, item["role"], item["language"], tuple(item["publishes"]), tuple(item["reads"])
        )
        for name, item in data["services"].items()
    }


def nats(data: Data) -> NatsMapping:
    """Section 15.1."""
    rule = data["nats"]
    return NatsMapping(
        rule["subject"],
        rule["deduplication"]["header"],
        rule["deduplication"]["value"],
        rule["deduplication"]["dead_letter_prefix"],
        rule["max_payload_counts_headers"],
    )


def kafka(data: Data) -> KafkaMapping:
    """Section 15.2."""
    rule = data["kafka"]
    return KafkaMapping(
        rule["topic"], rule["key"], rule["topic_header"], rule["partitions"], rule["order_within"]
    )
