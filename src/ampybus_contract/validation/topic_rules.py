"""Rules of topics, and the hint for the most common mistake."""

from __future__ import annotations

from collections.abc import Mapping

from ampybus_contract.contract import Contract, DomainRule
from ampybus_contract.envelope import Topic
from ampybus_contract.errors import TopicError
from ampybus_contract.validation.case import Case


def judge_topic(case: Case) -> DomainRule | None:
    """Judge the topic and give the domain whose rules the rest follows, if there is one."""
    rule, text = case.contract.topic, case.envelope.topic
    try:
        topic = Topic.parse(text)
    except TopicError:
        case.report(
            rule.requirements["grammar"], "topic", _shape(case), repr(text), meant(case.contract, text)
        )
        return None
    case.parsed = topic
    if any(token in ("*", ">") for token in topic.tokens):
        case.report(rule.requirements["wildcard"], "topic", "a concrete topic", repr(text))
        return None
    if topic.prefix != rule.prefix or not all(rule.token.fullmatch(token) for token in topic.tokens):
        case.report(rule.requirements["grammar"], "topic", _shape(case), repr(text))
    if topic.env not in rule.environments:
        case.report(rule.requirements["environment"], "topic.env", " | ".join(rule.environments), topic.env)
    if not rule.version.fullmatch(topic.version):
        case.report(rule.requirements["version"], "topic.version", rule.version.pattern, topic.version)
    domain = case.contract.domains.get(topic.domain)
    if domain is None:
        case.report(
            rule.requirements["domain"], "topic.domain", " | ".join(case.contract.domains), topic.domain
        )
    elif match := domain.subtopic.fullmatch(topic.subtopic):
        case.groups = match.groupdict()
    else:
        case.report(rule.requirements["subtopic"], "topic.subtopic", domain.subtopic.pattern, topic.subtopic)
    return domain


def _shape(case: Case) -> str:
    return f"{case.contract.topic.prefix}.{{env}}.{{domain}}.{{version}}.{{subtopic}}"


def meant(contract: Contract, text: str) -> str:
    """The topic that a text with underscores for dots most likely stands for, as a hint; else empty."""
    rule = contract.topic
    for env in rule.environments:
        for name, domain in contract.domains.items():
            start = f"{rule.prefix}.{env}_{name}_"
            if text.startswith(start):
                version, _, rest = text.removeprefix(start).partition("_")
                candidates = (rest, rest.replace("_", "."))
                for subtopic in candidates:
                    if domain.subtopic.fullmatch(subtopic):
                        return f"did you mean {rule.prefix}.{env}.{name}.{version}.{subtopic}?"
    return ""


def judge_origin(case: Case, domain: DomainRule) -> None:
    """A carried envelope came from a topic of this environment and of the domain it is filed under."""
    if domain.origin is None or case.parsed is None:
        return
    if case.parsed.env not in case.contract.topic.environments:
        return
    origin = case.envelope.headers.get(domain.origin["header"])
    start = origin_start(case.contract, domain, case.parsed, case.groups)
    if origin is not None and (start is None or not origin.startswith(start)):
        expected = f"{start}..." if start else "a domain of the contract, as subtopic"
        case.report(domain.origin["requirement"], f"headers.{domain.origin['header']}", expected, origin)


def origin_start(
    contract: Contract, domain: DomainRule, topic: Topic, groups: Mapping[str, str | None]
) -> str | None:
    """How the topics begin that may be carried here; None where the subtopic names no domain that can."""
    carried = contract.domains.get(groups.get(domain.carries or "") or "")
    if carried is None or carried.carries:
        return None
    return f"{contract.topic.prefix}.{topic.env}.{carried.name}."
