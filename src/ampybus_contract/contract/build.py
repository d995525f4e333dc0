"""Spec sources as typed values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ampybus_contract.contract.model import (
    CheckRule,
    Component,
    Contract,
    DeadLetterRule,
    DomainRule,
    HeaderRule,
    PayloadRule,
    PayloadType,
    Requirement,
    RetryRule,
    SampleRule,
    TopicRule,
)
from ampybus_contract.contract.references import used_requirements
from ampybus_contract.contract.yaml_source import Source

ENVELOPE_FILES = ("contract", "headers", "domain")


def build(sources: Mapping[str, list[Source]]) -> Contract:
    """The contract of sources in which no problem was found."""
    common = sources["contract"][0].data
    headers = sources["headers"][0].data
    topic, payload = common["topic"], common["payload"]
    delivery = sources["delivery"][0].data
    retry, dlq = delivery["retry"], delivery["dlq"]
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
        pointer_headers=tuple(common["pointer"]["headers"]),
        pointer_requirements=common["pointer"]["requirements"],
        header_name=re.compile(headers["name_pattern"]),
        header_value=re.compile(headers["value_pattern"]),
        header_requirements=headers["requirements"],
        headers={name: _header(name, rule) for name, rule in headers["headers"].items()},
        domains={source.data["domain"]: _domain(source.data) for source in sources["domain"]},
        requirements=requirements,
        envelope_requirements=frozenset(
            item
            for kind in ENVELOPE_FILES
            for source in sources[kind]
            for _path, item in used_requirements(source)
        ),
        retry=RetryRule(
            retry["attempts"],
            retry["backoff_initial_ms"] / 1000,
            retry["backoff_factor"],
            retry["backoff_max_ms"] / 1000,
            retry["jitter"],
        ),
        dead_letter=DeadLetterRule(
            dlq["topic"], dlq["headers"], dlq["codes"], frozenset(dlq["decode_requirements"])
        ),
        in_flight=delivery["in_flight"],
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
        checks={
            name: _check(name, item, requirements)
            for name, item in sources["checks"][0].data["checks"].items()
        },
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


def _header(name: str, rule: Mapping[str, Any]) -> HeaderRule:
    recommended = rule.get("recommended")
    return HeaderRule(
        name=name,
        required=rule.get("required"),
        format=rule["format"],
        pattern=re.compile(rule["pattern"]),
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
    )
