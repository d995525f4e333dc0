"""Spec sources as typed values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ampybus_contract.contract import build_chapters
from ampybus_contract.contract.chapters import ReasonRule
from ampybus_contract.contract.files import CHAPTERS
from ampybus_contract.contract.meaning import build_meaning
from ampybus_contract.contract.model import (
    CheckRule,
    Component,
    Contract,
    DeadLetterRule,
    DomainRule,
    HeaderRule,
    PayloadRule,
    PayloadType,
    ProfileRule,
    Requirement,
    RetryRule,
    SampleRule,
    TopicRule,
)
from ampybus_contract.contract.privacy import privacy_rule
from ampybus_contract.contract.references import NONE, used_requirements
from ampybus_contract.contract.yaml_source import Source

ENVELOPE_FILES = ("contract", "headers", "pointer", "domain", "privacy")


def build(sources: Mapping[str, list[Source]]) -> Contract:
    """The contract of sources in which no problem was found."""
    common = sources["contract"][0].data
    headers = sources["headers"][0].data
    topic, payload = common["topic"], common["payload"]
    delivery = sources["delivery"][0].data
    dlq = delivery["dlq"]
    reasons = build_chapters.reasons(delivery)
    chapter = {name: found[0].data for name, found in sources.items() if name in CHAPTERS}
    requirements = _requirements(sources)
    return Contract(
        version=common["version"],
        topic=TopicRule(
            topic["prefix"],
            topic["minimum_tokens"],
            tuple(topic["environments"]),
            re.compile(topic["token_pattern"]),
            re.compile(topic["version_pattern"]),
            topic["requirements"],
        ),
        payload=PayloadRule(
            tuple(payload["content_encodings"]),
            payload["compress_above_bytes"],
            payload["sent_below_bytes"],
            payload["decoded_at_most_bytes"],
            payload["requirements"],
        ),
        key_separator=common["keys"]["separator"],
        key_requirements=common["keys"]["requirements"],
        pointer=build_chapters.pointer(chapter["pointer"]),
        pointer_requirements=chapter["pointer"]["requirements"],
        header_name=re.compile(headers["name_pattern"]),
        header_value=re.compile(headers["value_pattern"]),
        header_requirements=headers["requirements"],
        headers={name: _header(name, rule, reasons) for name, rule in headers["headers"].items()},
        domains={source.data["domain"]: _domain(source.data) for source in sources["domain"]},
        requirements=requirements,
        privacy=privacy_rule(sources["privacy"][0].data),
        envelope_requirements=envelope_requirements(sources),
        tiers={name: _tier(rule) for name, rule in delivery["tiers"].items()},
        reasons=reasons,
        dead_letter=DeadLetterRule(
            dlq["topic"],
            dlq["headers"],
            {kind: code for code, rule in reasons.items() for kind in rule.kinds},
            frozenset(dlq["decode_requirements"]),
        ),
        backpressure=build_chapters.backpressure(chapter["backpressure"]),
        replay=build_chapters.replay(chapter["replay"]),
        metrics=build_chapters.metrics(chapter["metrics"]),
        labels=build_chapters.labels(chapter["metrics"], tuple(reasons)),
        logs=build_chapters.logs(chapter["logs"]),
        tracing=build_chapters.tracing(chapter["tracing"]),
        security=build_chapters.security(chapter["security"]),
        service_levels=build_chapters.service_levels(chapter["slo"]),
        services=build_chapters.services(chapter["services"]),
        nats=build_chapters.nats(chapter["bindings"]),
        kafka=build_chapters.kafka(chapter["bindings"]),
        effects_remembered=delivery["effects_remembered"],
        infrastructure_headers=frozenset(delivery["infrastructure_headers"]),
        samples={
            name: SampleRule(
                item["payload"],
                item["subtopic"],
                {part: tuple(values) for part, values in item["components"].items()},
                item["counter"],
                item["filler"],
            )
            for name, item in sources["samples"][0].data["domains"].items()
        },
        meaning=build_meaning(sources["payloads"][0].data),
        suppressed=frozenset(
            item["requirement"]
            for head in sources.get("overlay", ())
            for item in head.data.get("suppress", ())
        ),
        checks={
            name: _check(name, item, requirements)
            for name, item in sources["checks"][0].data["checks"].items()
        },
        profiles={
            name: ProfileRule(name, item["text"], tuple(item["chapters"]), frozenset(item["may_lack"]))
            for name, item in sources["checks"][0].data["profiles"].items()
        },
    )


def envelope_requirements(sources: Mapping[str, list[Source]]) -> frozenset[str]:
    """The requirements that an envelope alone can violate."""
    return frozenset(
        item
        for kind in ENVELOPE_FILES
        for source in sources[kind]
        for _path, item in used_requirements(source)
    )


def _requirements(sources: Mapping[str, list[Source]]) -> dict[str, Requirement]:
    """The catalogue; a link to a check that only the check names belongs to the requirement as well."""
    checks = sources["checks"][0].data["checks"]
    found = {}
    for source in sources["requirements"]:
        for name, item in source.data["requirements"].items():
            linked = [check for check, rule in checks.items() if name in rule.get("requirements", ())]
            both = tuple(dict.fromkeys([*item.get("checks", ()), *linked]))
            found[name] = Requirement(name, **{**item, "checks": both})
    return found


def _check(name: str, item: Mapping[str, Any], requirements: Mapping[str, Requirement]) -> CheckRule:
    return CheckRule(
        name,
        item["chapter"],
        item["text"],
        item["claim"],
        tuple(rule.id for rule in requirements.values() if name in rule.checks),
        tuple(item["mutants"]),
        item.get("where", "memory"),
        tuple(item.get("needs", ())),
        item.get("planned", False),
    )


def _tier(rule: Mapping[str, Any]) -> RetryRule:
    return RetryRule(
        rule["attempts"],
        rule["backoff_initial_ms"] / 1000,
        rule["backoff_factor"],
        rule["backoff_max_ms"] / 1000,
        rule["jitter"],
    )


def _header(name: str, rule: Mapping[str, Any], reasons: Mapping[str, ReasonRule]) -> HeaderRule:
    recommended = rule.get("recommended")
    pattern = rule["pattern"]
    if "code_from" in rule:
        codes = "|".join(re.escape(code) for code, reason in reasons.items() if reason.final)
        pattern = f"({codes}): {pattern}"
    return HeaderRule(
        name=name,
        required=rule.get("required"),
        format=rule["format"],
        pattern=re.compile(pattern),
        example=rule["example"],
        date_time=rule.get("date_time", False),
        per_run=rule.get("per_run", False),
        recommended=re.compile(recommended["pattern"]) if recommended else None,
        recommended_requirement=recommended["requirement"] if recommended else None,
    )


def _domain(data: Mapping[str, Any]) -> DomainRule:
    return DomainRule(
        name=data["domain"],
        ordering=data["ordering"],
        tier=data["tier"],
        priority=data["priority"],
        replay=None if data["replay"] == NONE else data["replay"],
        retention=data["retention"],
        latency=None if data["latency"] == NONE else data["latency"],
        personal_data=data["personal_data"],
        subtopic=re.compile(data["subtopic"]),
        payloads={
            name: PayloadType(entry["item"], entry.get("when", {}), entry.get("choice"))
            for name, entry in data["payloads"].items()
        },
        aliases=data["aliases"],
        components={
            name: Component(entry.get("topic"), tuple(entry.get("paths", ())), entry.get("form", "text"))
            for name, entry in data["components"].items()
        },
        key=data.get("key"),
        key_without=data.get("key_without", {}).get("formula"),
        key_without_requirement=data.get("key_without", {}).get("requirement"),
        dedupe_key=data.get("dedupe_key"),
        required_headers=data.get("required_headers", {}),
        carries=data.get("carries"),
        latest_wins=data.get("latest_wins", False),
        payload_hash=data.get("payload_hash"),
        origin=data.get("origin"),
    )
