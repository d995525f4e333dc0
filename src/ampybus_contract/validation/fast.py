"""The fast path: whether an envelope surely keeps the contract, in a few passes over it.

Compiled from the spec once per contract, and then once per layout of headers (which names are there), per
topic, per run and per payload type on a topic. These repeat in traffic, so they are remembered, within
bounds. Nothing that differs from one envelope to the next is remembered.
"""

from __future__ import annotations

from collections.abc import Mapping

from ampybus_contract.contract import Contract, DomainRule
from ampybus_contract.envelope import Envelope, Headers
from ampybus_contract.envelope.codec import decompress
from ampybus_contract.envelope.digest import sha256_of
from ampybus_contract.errors import DecodeError
from ampybus_contract.validation.case import Case
from ampybus_contract.validation.fast_headers import SPARE, Layout, LayoutCompiler, encodable
from ampybus_contract.validation.fast_payload import Agrees, compile_payload
from ampybus_contract.validation.key_rules import key_form, key_of_topic, sole_part
from ampybus_contract.validation.payload_rules import judge_schema
from ampybus_contract.validation.privacy_rules import Guarded, in_headers
from ampybus_contract.validation.routes import Route, Schema, TopicPlan
from ampybus_contract.validation.topic_rules import judge_topic, origin_start

TOPICS_KEPT = 16_384
RUNS_KEPT = 256
SCHEMAS_KEPT = 256


class FastPath:
    """Says of an envelope that it surely has no finding, or that it needs a close look."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._layouts = LayoutCompiler(contract)
        self._by_size: dict[int, Layout] = {}
        self._topics: dict[str, TopicPlan] = {}
        self._free_size = min(contract.payload.compress_above, contract.payload.sent_below - 1)

    def clean(self, envelope: Envelope, payload_known: bool = True) -> bool:
        """True where a close look surely finds nothing, SHOULD included; False where it may."""
        headers = envelope.headers.plain
        try:
            layout = self._by_size[len(headers)]
            route = layout.runs[layout.run(headers)][envelope.topic]
            text = "\n".join(layout.own(headers))
        except KeyError:
            return self._learn(envelope, payload_known)
        if (
            SPARE in text
            or layout.match_own(text) is None
            or not (text.isascii() or encodable(text))
            or not (layout.text_only or layout.printable(text))
            or (
                headers["partition_key"] != route.key
                if route.key is not None
                else self._split(headers, route)
            )
        ):
            return False
        if layout.plain:
            if not payload_known:
                return route.settled or self._keyed(headers, route)
            if route.agrees is not None and len(envelope.payload) <= self._free_size:
                return route.agrees(envelope.payload, headers)
        return self._rest(envelope, route, layout, payload_known)

    def payload_judge(self, envelope: Envelope) -> Agrees | None:
        """What decodes and compares payloads on the route of an envelope that was found clean before.

        Without the look for personal data, which some domains ask for as well.
        """
        headers = envelope.headers.plain
        layout = self._by_size[len(headers)]
        agrees = layout.runs[layout.run(headers)][envelope.topic].agrees
        return agrees.compared if isinstance(agrees, Guarded) else agrees

    def _rest(self, envelope: Envelope, route: Route, layout: Layout, payload_known: bool) -> bool:
        """What few envelopes have: headers judged apart, no payload to compare, or one to unpack first."""
        headers = envelope.headers.plain
        if layout.apart and not layout.keeps_apart(headers):
            return False
        if not _carried_from(headers, route.topic):
            return False
        if layout.pointer and envelope.payload:
            return False
        if layout.pointer or not payload_known:
            return self._keyed(headers, route)
        plain = self._plain(envelope, layout)
        if plain is None:
            return False
        return _hashed(plain, headers, route.topic.domain) and (
            route.agrees is None or route.agrees(plain, headers)
        )

    def _split(self, headers: Mapping[str, str], route: Route) -> bool:
        """Whether a key of one part holds a separator, or is not the dedupe key where the domain has one."""
        key = headers["partition_key"]
        return route.sole and (
            self._contract.key_separator in key
            or (bool(route.topic.domain.dedupe_key) and headers["dedupe_key"] != key)
        )

    def _keyed(self, headers: Mapping[str, str], route: Route) -> bool:
        """Without a payload to compare with: the key has the form that the topic asks for."""
        key, topic, domain = headers["partition_key"], route.topic, route.topic.domain
        if topic.key_form is not None and topic.key_form(key) is None:
            return False
        if not _carried_from(headers, topic):
            return False
        if self._guarded(domain) and any(in_headers(self._contract.privacy, headers)):
            return False
        return domain.key is None or domain.dedupe_key != domain.key or headers["dedupe_key"] == key

    def _learn(self, envelope: Envelope, payload_known: bool) -> bool:
        """Find the route of an envelope; then look again. False where it has none yet."""
        headers = envelope.headers.plain
        layout = self._layouts.of(headers)
        if layout is None:
            return False
        values = layout.run(headers)
        run = layout.runs.get(values)
        if run is None:
            if not layout.keeps_run(values):
                return False
            if len(layout.runs) >= RUNS_KEPT:
                layout.runs.clear()
            run = layout.runs[values] = {}
        if envelope.topic not in run:
            route = self._route(envelope, layout)
            if route is None:
                return False
            if len(run) >= TOPICS_KEPT:
                run.clear()
            run[envelope.topic] = route
        self._by_size[len(headers)] = layout
        return self.clean(envelope, payload_known)

    def _route(self, envelope: Envelope, layout: Layout) -> Route | None:
        topic = self._topics.get(envelope.topic) or self._topic(envelope.topic)
        if topic is None or topic.domain.name not in layout.domains:
            return None
        if topic.domain.carries:
            return Route(topic, None, None, False, False) if topic.origin or not topic.domain.origin else None
        headers = envelope.headers.plain
        schema = headers["schema_fqdn"], headers["schema_version"], headers.get("schema_hash")
        plan = topic.schemas.get(schema) or self._schema(topic, schema)
        if plan is None:
            return None
        more = topic.domain.dedupe_key or self._guarded(topic.domain)
        settled = topic.key is not None and not more
        return Route(topic, plan, topic.key, settled, sole_part(topic.domain))

    def _guarded(self, domain: DomainRule) -> bool:
        return domain.name in self._contract.privacy.domains

    def _plain(self, envelope: Envelope, layout: Layout) -> bytes | None:
        """The decoded payload, or None where its size or encoding is not allowed."""
        rule, payload = self._contract.payload, envelope.payload
        if len(payload) >= rule.sent_below:
            return None
        if not layout.encoded:
            return payload if len(payload) <= rule.compress_above else None
        try:
            return decompress(payload, rule.decoded_at_most)
        except DecodeError:
            return None

    def _topic(self, text: str) -> TopicPlan | None:
        """Learn a topic by a close look at it; None where it has findings."""
        case = Case(Envelope(text, Headers({}), b""), self._contract)
        domain = judge_topic(case)
        if domain is None or case.findings:
            return None
        form = exact = origin = None
        if domain.carries and case.parsed is not None:
            origin = origin_start(self._contract, domain, case.parsed, case.groups)
        if domain.key is not None:
            form = key_form(domain, case.groups, self._contract.key_separator).fullmatch
            exact = key_of_topic(domain, case.groups)
        if len(self._topics) >= TOPICS_KEPT:
            self._topics.clear()
        self._topics[text] = plan = TopicPlan(text, domain, case.groups, exact, form, origin, {})
        return plan

    def _schema(self, topic: TopicPlan, schema: Schema) -> Agrees | None:
        """Learn a payload type on a topic by a close look at both; None where they have findings."""
        values = dict(zip(("schema_fqdn", "schema_version", "schema_hash"), schema, strict=True))
        headers = Headers({name: value for name, value in values.items() if value is not None})
        case = Case(Envelope(topic.text, headers, b""), self._contract)
        judge_topic(case)
        kind = judge_schema(case, topic.domain)
        plan = None
        if kind is not None and not case.findings:
            plan = compile_payload(self._contract, topic.domain, topic.groups, schema[0])
            if plan is not None and self._guarded(topic.domain):
                plan = Guarded(plan, self._contract.privacy, schema[0])
        if len(topic.schemas) >= SCHEMAS_KEPT:
            topic.schemas.clear()
        topic.schemas[schema] = plan
        return plan


def _hashed(plain: bytes, headers: Mapping[str, str], domain: DomainRule) -> bool:
    """A dead letter's payload may be anything, but its hash is that of the decoded bytes."""
    return not domain.payload_hash or headers[domain.payload_hash["header"]] == sha256_of(plain)


def _carried_from(headers: Mapping[str, str], topic: TopicPlan) -> bool:
    """A dead letter came from where its topic says."""
    return not topic.domain.origin or headers[topic.domain.origin["header"]].startswith(topic.origin or "\n")
