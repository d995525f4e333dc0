"""The chapters say what the contract says, hold together, and are followed."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import nats
import pytest

from ampybus_contract import Envelope, validate
from ampybus_contract.bindings.nats import NatsTransport
from ampybus_contract.bindings.protocol import Endpoint
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.brokers.nats_server import nats_server
from ampybus_contract.cli.main import main
from ampybus_contract.contract import default_contract, load_contract
from ampybus_contract.contract.files import CHAPTERS
from ampybus_contract.envelope.topic import Topic
from ampybus_contract.errors import SpecError

CONTRACT = default_contract()
DOMAINS = CONTRACT.domains


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def named(**fields: str | None) -> set[str]:
    ((field, value),) = fields.items()
    return {name for name, rule in DOMAINS.items() if getattr(rule, field) == value}


def test_each_domain_has_the_replay_scope_of_the_document() -> None:
    assert named(replay="time_window") == {"bars", "ticks", "news", "fx"}
    assert named(replay="key") == {"orders", "fills", "positions"}


def test_each_domain_has_the_latency_objective_of_the_document_or_none() -> None:
    found = {name: objective.at_most_ms for name in DOMAINS if (objective := CONTRACT.latency_of(name))}
    assert found == {"orders": 50, "signals": 50, "fills": 50, "bars": 150, "ticks": 150}


def test_retention_is_at_least_the_policy() -> None:
    policies = CONTRACT.replay.retention
    assert all(rule.live_days >= 7 and rule.analytical_days >= 30 for rule in policies.values())
    assert named(retention="compliance") >= {"orders", "fills", "positions"}
    assert policies["compliance"].analytical_days > policies["standard"].analytical_days


def test_orders_go_on_when_metrics_wait() -> None:
    priorities = {name: rule.priority for name, rule in DOMAINS.items()}
    assert priorities["metrics"] == min(priorities.values())
    assert priorities["orders"] == max(priorities.values())


def test_the_figures_of_the_service_levels_are_those_of_the_document() -> None:
    levels = CONTRACT.service_levels
    assert (levels.recovery_point_seconds, levels.recovery_time_seconds) == (300, 900)
    assert levels.availability_at_least == 0.999


def test_there_are_eight_metrics_whose_reason_label_is_the_closed_set() -> None:
    assert len(CONTRACT.metrics) == 8
    assert CONTRACT.metrics["bus.dlq_total"].prometheus_name == "bus_dlq_total"
    assert CONTRACT.labels["reason"].values == tuple(CONTRACT.reasons)
    assert {name for name, rule in CONTRACT.metrics.items() if "reason" in rule.labels} == {
        "bus.dlq_total", "bus.retry_total", "bus.decode_fail_total"
    }  # fmt: skip


def test_a_new_reason_code_is_followed_by_header_and_label(spec_copy: Path) -> None:
    code = "  late: {meaning: Too late., kinds: [late], final: true}\n"
    edit(spec_copy / "delivery.yaml", "reasons:\n", f"reasons:\n{code}")
    contract, value = load_contract(spec_copy), "late: by an hour"
    pattern = contract.headers["dlq_reason"].pattern
    assert pattern.fullmatch(value)
    assert not CONTRACT.headers["dlq_reason"].pattern.fullmatch(value)
    assert "late" in contract.labels["reason"].values
    assert contract.dead_letter.codes["late"] == "late"


def test_a_code_that_is_not_final_is_no_reason_of_a_dead_letter(bars: Envelope) -> None:
    assert not CONTRACT.reasons["handler_error"].final
    headers = bars.headers.with_(dlq_reason="handler_error: again")
    assert "HDR-11" in {item.requirement for item in validate(replace(bars, headers=headers))}


def test_retries_follow_the_tier_of_the_domain(spec_copy: Path, bars: Envelope) -> None:
    edit(spec_copy / "domains/bars.yaml", "tier: market_data", "tier: telemetry")
    contract = load_contract(spec_copy)
    binding = ReferenceBinding(NatsTransport(contract), contract)
    assert binding.retry_rule(bars) == contract.tiers["telemetry"] != CONTRACT.retry_of("bars")


@pytest.mark.parametrize("service", CONTRACT.services)
def test_a_service_publishes_its_metrics_and_the_dead_letters_of_what_it_reads(service: str) -> None:
    rule = CONTRACT.services[service]
    assert {f"metrics.v1.{service}", "metrics.v1.>"} & {*rule.publishes}
    read = {pattern.split(".")[0] for pattern in rule.reads} - {"dlq", "control"}
    assert {f"dlq.v1.{domain}" for domain in read} == {
        pattern for pattern in rule.publishes if pattern.startswith("dlq.") and "dlq.v1.>" not in rule.reads
    }


@pytest.mark.parametrize("service", CONTRACT.services)
def test_the_service_map_names_topics_of_declared_domains(service: str) -> None:
    rule = CONTRACT.services[service]
    for pattern in (*rule.publishes, *rule.reads):
        domain, version, subtopic = pattern.split(".", 2)
        assert CONTRACT.topic.version.fullmatch(version)
        if subtopic != ">":
            topic = Topic.parse(f"{CONTRACT.topic.prefix}.dev.{pattern}")
            assert DOMAINS[domain].subtopic.fullmatch(topic.subtopic)
        assert domain in DOMAINS


def test_the_logs_and_spans_name_no_payload() -> None:
    assert set(CONTRACT.logs.payload_forbidden_as) == {"raw", "hex", "base64"}
    words = " ".join([*CONTRACT.logs.fields, *CONTRACT.tracing.attributes.values()])
    assert not re.search("payload", words)


async def stored_headers(url: str, transport: NatsTransport, envelope: Envelope) -> dict[str, str]:
    """Send over a transport and read with another client what the stream holds."""
    client = await nats.connect(url)
    try:
        await client.jetstream().add_stream(name="wire", subjects=["ampy.>"])
        await transport.open(Endpoint(url, "wire"))
        await transport.send(envelope)
        stored = await client.jetstream().get_last_msg("wire", envelope.topic)
        return dict(stored.headers or {})
    finally:
        await transport.close()
        await client.close()


@pytest.mark.server
def test_another_deduplication_mapping_is_followed_on_the_wire(spec_copy: Path, bars: Envelope) -> None:
    edit(spec_copy / "bindings.yaml", "header: Nats-Msg-Id", "header: Other-Id")
    with nats_server() as server:
        transport = NatsTransport(load_contract(spec_copy))
        headers = asyncio.run(stored_headers(server.url, transport, bars))
    assert headers["Other-Id"] == bars.headers["message_id"].lower()
    assert "Nats-Msg-Id" not in headers


@pytest.mark.parametrize(
    ("file", "old", "new", "path"),
    [
        ("domains/bars.yaml", "tier: market_data", "tier: gold", "/tier"),
        ("domains/bars.yaml", "replay: time_window", "replay: sometimes", "/replay"),
        ("domains/bars.yaml", "retention: standard", "retention: short", "/retention"),
        ("domains/bars.yaml", "latency: market_data", "latency: fast", "/latency"),
        ("domains/bars.yaml", "personal_data: none_allowed", "personal_data: any", "/personal_data"),
        ("pointer.yaml", "on_mismatch: blob_error", "on_mismatch: blob", "/on_mismatch"),
        ("backpressure.yaml", "metric: bus.consumer_lag", "metric: bus.lag", "/lag/metric"),
        ("replay.yaml", "header: produced_at", "header: made_at", "/window/header"),
        ("bindings.yaml", "topic_header: ampy_topic", "topic_header: topic", "/kafka/topic_header"),
        ("metrics.yaml", "[topic, producer]", "[topic, maker]", "/metrics/bus.produced_total/labels/1"),
    ],
)
def test_a_name_that_is_not_declared_is_refused(
    spec_copy: Path, file: str, old: str, new: str, path: str
) -> None:
    edit(spec_copy / file, old, new)
    with pytest.raises(SpecError) as caught:
        load_contract(spec_copy)
    assert [(item.file, item.path) for item in caught.value.problems] == [(file, path)]


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_that_is_missing_or_has_an_unknown_key_is_refused(spec_copy: Path, chapter: str) -> None:
    path = spec_copy / f"{chapter}.yaml"
    path.write_text(path.read_text() + "surprise: 1\n")
    with pytest.raises(SpecError, match="surprise"):
        load_contract(spec_copy)
    path.unlink()
    with pytest.raises(SpecError, match="a readable file"):
        load_contract(spec_copy)


def test_lint_counts_what_the_spec_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spec", "lint"]) == 0
    said = capsys.readouterr().out
    for count, word in (
        (len(CONTRACT.requirements), "requirements"),
        (len(CONTRACT.checks), "checks"),
        (len(CONTRACT.tiers), "tiers"),
        (len(CONTRACT.reasons), "reason codes"),
        (8, "metrics"),
        (len(CONTRACT.services), "services"),
    ):
        assert f"{count} {word}" in said
