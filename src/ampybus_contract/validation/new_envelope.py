"""Build an envelope that keeps the contract from a payload message."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import Message

from ampybus_contract.contract import Contract, DomainRule, default_contract
from ampybus_contract.envelope import Envelope, Headers, Topic, uuid7
from ampybus_contract.envelope.codec import compress
from ampybus_contract.envelope.formula import fill
from ampybus_contract.envelope.parts import part_text
from ampybus_contract.envelope.schema_hash import schema_hash
from ampybus_contract.errors import TopicError
from ampybus_contract.validation.validator import check


def new_envelope(
    where: str,
    message: Message,
    *,
    producer: str,
    source: str,
    run_id: str,
    trace_id: str | None = None,
    schema_version: str | None = None,
    with_schema_hash: bool = False,
    contract: Contract | None = None,
    **more: str,
) -> Envelope:
    """An envelope around ``message``, with everything that the contract lets be derived.

    ``where`` is a whole topic, or an environment and a domain such as ``prod.bars``; the rest of the topic
    then comes from the message. Derived are id, time, trace (random where not given), key, dedupe_key and the
    schema's name and version (``1.0.0`` of the topic's major where not given). A payload above the
    compression threshold is compressed. ``more`` are further headers, or others than the derived ones.

    Raises TopicError where the topic cannot be told, InvalidEnvelopeError where the envelope would break a
    MUST, as one whose payload is over the size limit: store that and publish a pointer envelope.
    """
    rules = contract or default_contract()
    fqdn = message.DESCRIPTOR.full_name
    topic, domain = _place(where, fqdn, message, rules)
    payload = message.SerializeToString(deterministic=True)
    now = time.time_ns()
    second, fraction = divmod(now, 1_000_000_000)
    headers = {
        "message_id": str(uuid7(now // 1_000_000)),
        "schema_fqdn": fqdn,
        "schema_version": schema_version or f"{topic.version[1:]}.0.0",
        "content_type": rules.headers["content_type"].example,
        "produced_at": f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09}Z",
        "producer": producer,
        "source": source,
        "run_id": run_id,
        "trace_id": trace_id or f"{secrets.randbits(127) + 1:032x}",
        **_keys(domain, fqdn, message, topic),
    }
    if with_schema_hash and (digest := schema_hash(fqdn)):
        headers["schema_hash"] = digest
    if len(payload) > rules.payload.compress_above:
        payload = compress(payload)
        headers["content_encoding"] = rules.payload.encodings[0]
    envelope = Envelope(str(topic), Headers(headers | more), payload)
    check(envelope, rules)
    return envelope


def _place(where: str, fqdn: str, message: Message, contract: Contract) -> tuple[Topic, DomainRule]:
    tokens = where.split(".")
    if len(tokens) >= contract.topic.minimum_tokens:
        topic = Topic.parse(where)
        domain = contract.domains.get(topic.domain)
        if domain is None:
            raise _wrong(f"a domain of {', '.join(contract.domains)}", topic.domain, "name one of them")
        return topic, domain
    env, _, name = where.partition(".")
    domain = contract.domains.get(name)
    if domain is None:
        raise _wrong("a topic, or environment and domain as in prod.bars", repr(where), "name one of them")
    subtopic = _subtopic(domain, fqdn, message)
    if subtopic is None:
        raise _wrong(
            f"a whole topic, as {fqdn} does not say which subtopic of {domain.subtopic.pattern!r}",
            repr(where),
            "name the topic",
        )
    return Topic(contract.topic.prefix, env, name, fqdn.split(".")[-2], subtopic), domain


_GROUP = re.compile(r"\(\?P<(\w+)>[^()]*\)")


def _subtopic(domain: DomainRule, fqdn: str, message: Message) -> str | None:
    """The subtopic that the message's own parts make, or the only one there is; None where neither is so."""
    if fqdn not in domain.payloads:
        return None
    parts = {**domain.payloads[fqdn].when, **_parts(domain, fqdn, message, {})}
    names = set(_GROUP.findall(domain.subtopic.pattern))
    shape = _GROUP.sub(lambda group: f"{{{group[1]}}}", domain.subtopic.pattern)
    forms = [form for form in shape.split("|") if not names or "{" in form]
    if len(forms) != 1 or not all(parts.get(name) for name in names):
        return None
    text = fill(forms[0].replace(r"\.", "."), parts)
    return text if domain.subtopic.fullmatch(text) else None


def _parts(
    domain: DomainRule, fqdn: str, message: Message, groups: Mapping[str, str | None]
) -> dict[str, str]:
    kind = domain.payloads.get(fqdn)
    items: Any = (message,)
    if kind is not None and kind.item:
        items = getattr(message, kind.item)
    first = next(iter(items), None)
    if first is None:
        return {}
    return {name: part_text(rule, first, groups) for name, rule in domain.components.items()}


def _keys(domain: DomainRule, fqdn: str, message: Message, topic: Topic) -> dict[str, str]:
    match = domain.subtopic.fullmatch(topic.subtopic)
    parts = _parts(domain, fqdn, message, match.groupdict() if match else {})
    keys = {}
    if domain.key and parts:
        whole = domain.key_without is None or all(parts.values())
        keys["partition_key"] = fill(domain.key if whole else domain.key_without or "", parts)
    if domain.dedupe_key and parts:
        keys["dedupe_key"] = fill(domain.dedupe_key, parts)
    return keys


def _wrong(expected: str, got: str, fix: str) -> TopicError:
    return TopicError(f"TOPIC expected {expected}, got {got}. Fix: {fix}")
