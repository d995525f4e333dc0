"""Rules of payloads: size, encoding, type, version, and agreement with topic and keys."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.message import Message

from ampybus_contract.contract import DomainRule, PayloadType
from ampybus_contract.envelope.codec import decompress
from ampybus_contract.envelope.digest import sha256_of
from ampybus_contract.envelope.formula import fill
from ampybus_contract.envelope.parts import part_text
from ampybus_contract.envelope.registry import decode, message_type
from ampybus_contract.envelope.schema_hash import schema_hash
from ampybus_contract.errors import DecodeError
from ampybus_contract.validation.case import Case


def judge_schema(case: Case, domain: DomainRule) -> PayloadType | None:
    """What the headers say of the payload's type (D4, D6, D7); gives the type where the domain carries it."""
    fqdn = case.envelope.headers.get("schema_fqdn")
    if domain.carries or fqdn is None or not case.contract.headers["schema_fqdn"].pattern.fullmatch(fqdn):
        return None
    rules = case.contract.payload.requirements
    if fqdn in domain.aliases:
        case.report(rules["alias"], "headers.schema_fqdn", domain.aliases[fqdn], fqdn)
    canonical = domain.aliases.get(fqdn, fqdn)
    if canonical not in domain.payloads or message_type(canonical) is None:
        case.report(rules["type"], "headers.schema_fqdn", " | ".join(domain.payloads), fqdn)
        return None
    _version(case, canonical)
    given, own = case.envelope.headers.get("schema_hash"), schema_hash(canonical)
    form = case.contract.headers.get("schema_hash")
    if own and given and given != own and form and form.pattern.fullmatch(given):
        case.report(rules["hash"], "headers.schema_hash", own, given)
    kind = domain.payloads[canonical]
    for name, expected in kind.when.items():
        _kind(case, name, expected, "headers.schema_fqdn", canonical)
    return kind


def judge_payload(case: Case, domain: DomainRule, kind: PayloadType | None) -> Message | None:
    """What only the payload shows (sections 4, 7 and 8; D7, D13, D15 to D19); gives the decoded payload."""
    plain = _plain(case)
    if plain is None:
        return None
    headers = case.envelope.headers
    expected_hash = sha256_of(plain)
    rule = domain.payload_hash
    if rule and headers.get(rule["header"], expected_hash) != expected_hash:
        where = f"headers.{rule['header']}"
        case.report(rule["requirement"], where, expected_hash, headers[rule["header"]])
    if kind is None:
        return None
    fqdn = headers["schema_fqdn"]
    canonical = domain.aliases.get(fqdn, fqdn)
    try:
        message = decode(canonical, plain)
    except DecodeError as error:
        rules = case.contract.payload.requirements
        case.report(rules["decode"], "payload", f"bytes of {canonical}", str(error))
        return None
    items: Iterable[Message] = getattr(message, kind.item) if kind.item else (message,)
    for index, item in enumerate(items):
        where = f"payload.{kind.item}[{index}]" if kind.item else "payload"
        if kind.choice:
            (choice,) = item.DESCRIPTOR.oneofs
            _kind(case, kind.choice, item.WhichOneof(choice.name) or "nothing", where, canonical)
        _agreement(case, domain, item, where)
    return message


def _plain(case: Case) -> bytes | None:
    rule, payload = case.contract.payload, case.envelope.payload
    if len(payload) >= rule.sent_below:
        case.report(
            rule.requirements["sent"], "payload", f"< {rule.sent_below} bytes", f"{len(payload)} bytes"
        )
    encoding = case.envelope.headers.get("content_encoding")
    if encoding is None:
        if len(payload) > rule.compress_above:
            case.report(
                rule.requirements["compress"],
                "headers.content_encoding",
                "gzip",
                f"{len(payload)} plain bytes",
            )
        return payload
    if encoding not in rule.encodings:
        return None
    try:
        return decompress(payload, rule.decoded_at_most)
    except DecodeError as error:
        case.report(rule.requirements["encoding"], "payload", f"{encoding} data", str(error))
        return None


def _version(case: Case, fqdn: str) -> None:
    if case.parsed is None or not case.contract.topic.version.fullmatch(case.parsed.version):
        return
    major = case.parsed.version
    package = fqdn.split(".")[-2]
    schema = "v" + case.envelope.headers.get("schema_version", major[1:]).partition(".")[0]
    for where, got in (("headers.schema_fqdn", package), ("headers.schema_version", schema)):
        if got != major:
            case.report(case.contract.payload.requirements["version"], where, major, got)


def _kind(case: Case, name: str, kind: str, where: str, fqdn: str) -> None:
    """Compare the kind of a payload with the part of the subtopic that names one (D7)."""
    named = case.groups.get(name)
    if named is not None and named != kind:
        rule = case.contract.payload.requirements["subtopic"]
        case.report(rule, where, f"what {named!r} names", f"{kind} in {fqdn}")


def _agreement(case: Case, domain: DomainRule, item: Message, where: str) -> None:
    rules = case.contract.key_requirements
    parts = {name: part_text(rule, item, case.groups) for name, rule in domain.components.items()}
    for name, text in parts.items():
        if case.contract.key_separator in text:
            case.report(
                rules["separator"], f"{where}.{name}", f"no {case.contract.key_separator!r}", repr(text)
            )
    _key(case, domain, parts, where)
    dedupe = case.envelope.headers.get("dedupe_key")
    if domain.dedupe_key and dedupe is not None and dedupe != (expected := fill(domain.dedupe_key, parts)):
        case.report(rules["dedupe"], "headers.dedupe_key", f"{expected!r} from {where}", repr(dedupe))
    for name, found in case.groups.items():
        if found is not None and name in parts and parts[name] != found:
            case.report(rules["subtopic"], f"topic.{name}", f"{parts[name]!r} from {where}", repr(found))


def _key(case: Case, domain: DomainRule, parts: dict[str, str], where: str) -> None:
    got = case.envelope.headers.get("partition_key")
    if domain.key is None or got is None:
        return
    full = fill(domain.key, parts)
    short = fill(domain.key_without, parts) if domain.key_without else full
    expected = full if all(parts.values()) else short
    if got == expected:
        return
    if got == short and domain.key_without_requirement:
        case.report(domain.key_without_requirement, "headers.partition_key", repr(full), repr(got))
    else:
        rule = case.contract.key_requirements["formula"]
        case.report(rule, "headers.partition_key", f"{expected!r} from {where}", repr(got))
