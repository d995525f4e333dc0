"""Judge one envelope by the contract; no rule lives here, only the ways to apply one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime

from google.protobuf.message import Message

from ampybus_contract.contract import Contract, DomainRule, default_contract
from ampybus_contract.envelope import Envelope, Topic
from ampybus_contract.envelope.codec import decompress
from ampybus_contract.envelope.formula import fill
from ampybus_contract.envelope.parts import part_text
from ampybus_contract.envelope.registry import decode, message_type
from ampybus_contract.errors import DecodeError, TopicError
from ampybus_contract.validation.finding import Finding, InvalidEnvelopeError


def validate(
    envelope: Envelope, contract: Contract | None = None, *, payload_known: bool = True
) -> list[Finding]:
    """Every finding for an envelope, of all levels; an empty list means that it keeps the contract.

    ``payload_known=False`` leaves out what only the payload can show (illustrative fixtures).
    """
    judge = _Judge(envelope, contract or default_contract())
    judge.headers()
    domain = judge.topic()
    judge.pointer()
    if domain is not None:
        judge.domain_headers(domain)
        if payload_known and "blob_ref" not in envelope.headers:
            judge.payload(domain)
    return judge.findings


def check(envelope: Envelope, contract: Contract | None = None) -> None:
    """Raise InvalidEnvelopeError where the envelope breaks a MUST; return None otherwise."""
    findings = validate(envelope, contract)
    if any(finding.level == "MUST" for finding in findings):
        raise InvalidEnvelopeError(findings)


class _Judge:
    def __init__(self, envelope: Envelope, contract: Contract) -> None:
        self.envelope = envelope
        self.contract = contract
        self.parsed: Topic | None = None
        self.groups: Mapping[str, str | None] = {}
        self.findings: list[Finding] = []

    def report(self, requirement: str, where: str, expected: str, got: str, hint: str = "") -> None:
        rule = self.contract.requirements[requirement]
        shown = got if len(got) <= 120 else f"{got[:117]}..."
        self.findings.append(
            Finding(requirement, rule.level, where, rule.text, expected, shown, hint or rule.fix)
        )

    def headers(self) -> None:
        contract, headers = self.contract, self.envelope.headers
        for name, value in headers.items():
            if not contract.header_name.fullmatch(name):
                self.report(
                    contract.header_requirements["name"], "headers", contract.header_name.pattern, repr(name)
                )
            if not contract.header_value.fullmatch(value):
                self.report(
                    contract.header_requirements["value"], f"headers.{name}", "one line of text", repr(value)
                )
        for name, rule in contract.headers.items():
            found = headers.get(name)
            if found is None:
                if rule.required:
                    self.report(
                        rule.required, f"headers.{name}", f"a value such as {rule.example}", "no such header"
                    )
                continue
            expected = f"a value such as {rule.example}"
            if not rule.pattern.fullmatch(found) or (rule.date_time and not _exists(found)):
                self.report(rule.format, f"headers.{name}", expected, repr(found))
            elif rule.recommended and rule.recommended_requirement and not rule.recommended.fullmatch(found):
                self.report(rule.recommended_requirement, f"headers.{name}", expected, repr(found))
        self._trace()

    def _trace(self) -> None:
        parent_rule = self.contract.headers.get("traceparent")
        match = parent_rule and parent_rule.pattern.fullmatch(self.envelope.headers.get("traceparent", ""))
        for name, part in match.groupdict().items() if match else ():
            own = self.envelope.headers.get(name)
            if own is not None and own != part:
                self.report(self.contract.header_requirements["trace"], f"headers.{name}", part, own)

    def topic(self) -> DomainRule | None:
        """Judge the topic and give the domain whose rules the rest follows, if there is one."""
        rule, text = self.contract.topic, self.envelope.topic
        try:
            topic = Topic.parse(text)
        except TopicError:
            self.report(rule.requirements["grammar"], "topic", self._shape(), repr(text), self._meant(text))
            return None
        self.parsed = topic
        if any(token in ("*", ">") for token in topic.tokens):
            self.report(rule.requirements["wildcard"], "topic", "a concrete topic", repr(text))
            return None
        if topic.prefix != rule.prefix or not all(rule.token.fullmatch(token) for token in topic.tokens):
            self.report(rule.requirements["grammar"], "topic", self._shape(), repr(text))
        if topic.env not in rule.environments:
            self.report(
                rule.requirements["environment"], "topic.env", " | ".join(rule.environments), topic.env
            )
        if not rule.version.fullmatch(topic.version):
            self.report(rule.requirements["version"], "topic.version", rule.version.pattern, topic.version)
        domain = self.contract.domains.get(topic.domain)
        if domain is None:
            self.report(
                rule.requirements["domain"], "topic.domain", " | ".join(self.contract.domains), topic.domain
            )
        elif match := domain.subtopic.fullmatch(topic.subtopic):
            self.groups = match.groupdict()
        else:
            self.report(
                rule.requirements["subtopic"], "topic.subtopic", domain.subtopic.pattern, topic.subtopic
            )
        return domain

    def _shape(self) -> str:
        return f"{self.contract.topic.prefix}.{{env}}.{{domain}}.{{version}}.{{subtopic}}"

    def _meant(self, text: str) -> str:
        """The topic that a text with underscores for dots most likely stands for."""
        rule = self.contract.topic
        for env in rule.environments:
            for name, domain in self.contract.domains.items():
                start = f"{rule.prefix}.{env}_{name}_"
                if text.startswith(start):
                    version, _, rest = text.removeprefix(start).partition("_")
                    candidates = (rest, rest.replace("_", "."))
                    for subtopic in candidates:
                        if domain.subtopic.fullmatch(subtopic):
                            return f"did you mean {rule.prefix}.{env}.{name}.{version}.{subtopic}?"
        return ""

    def pointer(self) -> None:
        headers, names = self.envelope.headers, self.contract.pointer_headers
        present = [name for name in names if name in headers]
        if not present:
            return
        rules = self.contract.pointer_requirements
        for name in names:
            if name not in headers:
                self.report(
                    rules["complete"], f"headers.{name}", "all of " + ", ".join(names), "no such header"
                )
        if self.envelope.payload:
            self.report(rules["empty"], "payload", "no bytes", f"{len(self.envelope.payload)} bytes")

    def domain_headers(self, domain: DomainRule) -> None:
        for name, requirement in domain.required_headers.items():
            if name not in self.envelope.headers:
                self.report(requirement, f"headers.{name}", "a value", "no such header")
        if domain.dedupe_key and "dedupe_key" not in self.envelope.headers:
            self.report(
                self.contract.key_requirements["dedupe"],
                "headers.dedupe_key",
                domain.dedupe_key,
                "no such header",
            )

    def payload(self, domain: DomainRule) -> None:
        plain = self._plain()
        if plain is None:
            return
        headers = self.envelope.headers
        expected_hash = f"sha256:{hashlib.sha256(plain).hexdigest()}"
        rule = domain.payload_hash
        if rule and headers.get(rule["header"], expected_hash) != expected_hash:
            where = f"headers.{rule['header']}"
            self.report(rule["requirement"], where, expected_hash, headers[rule["header"]])
        if domain.carries:
            return
        fqdn = headers.get("schema_fqdn")
        if fqdn is None or not self.contract.headers["schema_fqdn"].pattern.fullmatch(fqdn):
            return
        rules = self.contract.payload.requirements
        if fqdn in domain.aliases:
            self.report(rules["alias"], "headers.schema_fqdn", domain.aliases[fqdn], fqdn)
        canonical = domain.aliases.get(fqdn, fqdn)
        if canonical not in domain.payloads or message_type(canonical) is None:
            self.report(rules["type"], "headers.schema_fqdn", " | ".join(domain.payloads), fqdn)
            return
        self._version(canonical)
        try:
            message = decode(canonical, plain)
        except DecodeError as error:
            self.report(rules["decode"], "payload", f"bytes of {canonical}", str(error))
            return
        kind = domain.payloads[canonical]
        items: Iterable[Message] = getattr(message, kind.item) if kind.item else (message,)
        for name, expected in kind.when.items():
            self._kind(name, expected, "headers.schema_fqdn", canonical)
        for index, item in enumerate(items):
            where = f"payload.{kind.item}[{index}]" if kind.item else "payload"
            if kind.choice:
                (choice,) = item.DESCRIPTOR.oneofs
                self._kind(kind.choice, item.WhichOneof(choice.name) or "nothing", where, canonical)
            self._agreement(domain, item, where)

    def _plain(self) -> bytes | None:
        rule, payload = self.contract.payload, self.envelope.payload
        if len(payload) >= rule.sent_below:
            self.report(
                rule.requirements["sent"], "payload", f"< {rule.sent_below} bytes", f"{len(payload)} bytes"
            )
        encoding = self.envelope.headers.get("content_encoding")
        if encoding is None:
            if len(payload) > rule.compress_above:
                self.report(
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
            self.report(rule.requirements["encoding"], "payload", f"{encoding} data", str(error))
            return None

    def _version(self, fqdn: str) -> None:
        if self.parsed is None or not self.contract.topic.version.fullmatch(self.parsed.version):
            return
        major = self.parsed.version
        package = fqdn.split(".")[-2]
        schema = "v" + self.envelope.headers.get("schema_version", major[1:]).partition(".")[0]
        for where, got in (("headers.schema_fqdn", package), ("headers.schema_version", schema)):
            if got != major:
                self.report(self.contract.payload.requirements["version"], where, major, got)

    def _kind(self, name: str, kind: str, where: str, fqdn: str) -> None:
        """Compare the kind of a payload with the part of the subtopic that names one (D7)."""
        named = self.groups.get(name)
        if named is not None and named != kind:
            rule = self.contract.payload.requirements["subtopic"]
            self.report(rule, where, f"what {named!r} names", f"{kind} in {fqdn}")

    def _agreement(self, domain: DomainRule, item: Message, where: str) -> None:
        rules = self.contract.key_requirements
        parts = {name: part_text(rule, item, self.groups) for name, rule in domain.components.items()}
        for name, text in parts.items():
            if self.contract.key_separator in text:
                self.report(
                    rules["separator"], f"{where}.{name}", f"no {self.contract.key_separator!r}", repr(text)
                )
        self._key(domain, parts, where)
        dedupe = self.envelope.headers.get("dedupe_key")
        if (
            domain.dedupe_key
            and dedupe is not None
            and dedupe != (expected := fill(domain.dedupe_key, parts))
        ):
            self.report(rules["dedupe"], "headers.dedupe_key", f"{expected!r} from {where}", repr(dedupe))
        for name, found in self.groups.items():
            if found is not None and name in parts and parts[name] != found:
                self.report(rules["subtopic"], f"topic.{name}", f"{parts[name]!r} from {where}", repr(found))

    def _key(self, domain: DomainRule, parts: dict[str, str], where: str) -> None:
        got = self.envelope.headers.get("partition_key")
        if domain.key is None or got is None:
            return
        full = fill(domain.key, parts)
        short = fill(domain.key_without, parts) if domain.key_without else full
        expected = full if all(parts.values()) else short
        if got == expected:
            return
        if got == short and domain.key_without_requirement:
            self.report(domain.key_without_requirement, "headers.partition_key", repr(full), repr(got))
        else:
            rule = self.contract.key_requirements["formula"]
            self.report(rule, "headers.partition_key", f"{expected!r} from {where}", repr(got))


def _exists(text: str) -> bool:
    """Whether a well-formed time stamp names a day of the calendar."""
    try:
        datetime.fromisoformat(text[:10])
    except ValueError:
        return False
    return True
