"""The contract as frozen values; every rule in them was read from ``spec/``."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

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
    SecurityRule,
    ServiceLevels,
    ServiceRule,
    TracingRule,
)
from ampybus_contract.contract.meaning import PayloadMeaning
from ampybus_contract.contract.privacy import PrivacyRule

EITHER = "|"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One normative statement: level MUST, SHOULD, MAY or INFO, and the checks that show it.

    Where no check can show it, ``no_check`` says why.
    """

    id: str
    level: str
    clause: str
    text: str
    rationale: str
    fix: str
    checks: tuple[str, ...]
    no_check: str | None = None

    @property
    def decisions(self) -> tuple[str, ...]:
        """The decisions (D1, D2, …) by which it is stricter or clearer than the ampy-bus document."""
        return tuple(re.findall(r"\bD[0-9]+\b", self.clause))


@dataclass(frozen=True, slots=True)
class HeaderRule:
    """What one header must look like; ``required`` is the requirement it is present under, or None.

    ``per_run`` says that one producer gives it the same value for all messages of a type in a run.
    """

    name: str
    required: str | None
    format: str
    pattern: re.Pattern[str]
    example: str
    date_time: bool
    per_run: bool
    recommended: re.Pattern[str] | None
    recommended_requirement: str | None


@dataclass(frozen=True, slots=True)
class Component:
    """Where a part of a key comes from: a group of the subtopic, or the first payload field that is set.

    Paths are dotted; ``form`` is ``text``, or ``date``: the UTC day of a timestamp, the latest of several.
    """

    topic: str | None
    paths: tuple[str, ...]
    form: str


@dataclass(frozen=True, slots=True)
class PayloadType:
    """A payload type of a domain: the repeated field that holds its items, empty for a single message.

    ``when`` names the subtopic parts it belongs to; ``choice`` the subtopic part that says which field of
    its oneof is set.
    """

    item: str
    when: Mapping[str, str]
    choice: str | None


@dataclass(frozen=True, slots=True)
class DomainRule:
    """One domain: subtopic grammar, payload types, key formula, and the policies it names.

    ``key_without`` is the formula without its optional part. ``latest_wins``: each message of a key replaces
    the ones before. ``replay`` and ``latency`` are None where the domain has none; of ``priority``,
    backpressure slows the lowest first.
    """

    name: str
    ordering: str
    tier: str
    priority: int
    replay: str | None
    retention: str
    latency: str | None
    personal_data: str
    subtopic: re.Pattern[str]
    payloads: Mapping[str, PayloadType]
    aliases: Mapping[str, str]
    components: Mapping[str, Component]
    key: str | None
    key_without: str | None
    key_without_requirement: str | None
    dedupe_key: str | None
    required_headers: Mapping[str, str]
    carries: str | None
    latest_wins: bool
    payload_hash: Mapping[str, str] | None
    origin: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class TopicRule:
    """The topic grammar that all domains share."""

    prefix: str
    minimum_tokens: int
    environments: tuple[str, ...]
    token: re.Pattern[str]
    version: re.Pattern[str]
    requirements: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PayloadRule:
    """Encodings and size limits, in bytes."""

    encodings: tuple[str, ...]
    compress_above: int
    sent_below: int
    decoded_at_most: int
    requirements: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RetryRule:
    """How often a delivery is tried and how long to wait between, in seconds; jitter is a share of it."""

    attempts: int
    backoff_initial: float
    backoff_factor: float
    backoff_max: float
    jitter: float

    def pause(self, attempt: int) -> float:
        """Seconds after failed attempt number ``attempt``, from 1, before jitter: growing, and capped."""
        try:
            growth = float(self.backoff_factor) ** (attempt - 1)
        except OverflowError:
            return self.backoff_max
        return min(self.backoff_initial * growth, self.backoff_max)


@dataclass(frozen=True, slots=True)
class DeadLetterRule:
    """Where dead letters go, what is added to them, and the reason code of each kind of failure."""

    topic: str
    headers: Mapping[str, str]
    codes: Mapping[str, str]
    decode_requirements: frozenset[str]


@dataclass(frozen=True, slots=True)
class SampleRule:
    """What a scenario publishes in a domain: payload type, subtopic, values of components, and two fields.

    ``counter`` is the path of a whole number that tells payloads apart, ``filler`` that of a text that gives
    them size; ``{n}`` in a component stands for the message's number.
    """

    payload: str
    subtopic: str
    components: Mapping[str, tuple[str, ...]]
    counter: str
    filler: str


@dataclass(frozen=True, slots=True)
class ProfileRule:
    """What a binding can be conformant to: all checks of some chapters.

    ``may_lack`` are the capabilities that a binding need not claim to pass it.
    """

    name: str
    text: str
    chapters: tuple[str, ...]
    may_lack: frozenset[str]


@dataclass(frozen=True, slots=True)
class CheckRule:
    """One conformance check; ``claim`` is the capability without which it does not apply, or None.

    ``where`` is the least it runs on: the ``memory`` broker, a ``real`` one with what ``needs`` names, or
    the ``goldens``. ``planned``: no suite judges it yet.
    """

    id: str
    chapter: str
    text: str
    claim: str | None
    requirements: tuple[str, ...]
    mutants: tuple[str, ...]
    where: str
    needs: tuple[str, ...]
    planned: bool

    def lacks(self, levers: Collection[str]) -> list[tuple[str, ...]]:
        """What it needs and is not among these, each with its alternatives, of which one is enough."""
        ways = (tuple(need.split(EITHER)) for need in sorted(self.needs))
        return [either for either in ways if not {*either} & {*levers}]


@dataclass(frozen=True, slots=True, eq=False)
class Contract:
    """The whole contract; two are equal only when they are the same object, which makes it a cache key.

    ``envelope_requirements`` are those that an envelope alone can violate.
    """

    version: str
    topic: TopicRule
    payload: PayloadRule
    key_separator: str
    key_requirements: Mapping[str, str]
    pointer: PointerRule
    pointer_requirements: Mapping[str, str]
    header_name: re.Pattern[str]
    header_value: re.Pattern[str]
    header_requirements: Mapping[str, str]
    headers: Mapping[str, HeaderRule]
    domains: Mapping[str, DomainRule]
    requirements: Mapping[str, Requirement]
    privacy: PrivacyRule
    envelope_requirements: frozenset[str]
    tiers: Mapping[str, RetryRule]
    reasons: Mapping[str, ReasonRule]
    dead_letter: DeadLetterRule
    backpressure: BackpressureRule
    replay: ReplayRule
    metrics: Mapping[str, MetricRule]
    labels: Mapping[str, LabelRule]
    logs: LogRule
    tracing: TracingRule
    security: SecurityRule
    service_levels: ServiceLevels
    services: Mapping[str, ServiceRule]
    nats: NatsMapping
    kafka: KafkaMapping
    effects_remembered: int
    infrastructure_headers: frozenset[str]
    samples: Mapping[str, SampleRule]
    meaning: PayloadMeaning
    suppressed: frozenset[str]
    checks: Mapping[str, CheckRule]
    profiles: Mapping[str, ProfileRule]

    @property
    def pointer_headers(self) -> tuple[str, ...]:
        """The headers of a pointer envelope, all or none (D18)."""
        return self.pointer.headers

    def retry_of(self, domain: str) -> RetryRule:
        """How deliveries of a domain are tried again. Raises KeyError for an undeclared domain (D24)."""
        return self.tiers[self.domains[domain].tier]

    def latency_of(self, domain: str) -> LatencyObjective | None:
        """The latency objective of a domain, or None where it has none (D38)."""
        name = self.domains[domain].latency
        return None if name is None else self.service_levels.latency[name]

    @property
    def judged(self) -> Mapping[str, CheckRule]:
        """The checks that have a suite, in the order of the spec."""
        return {name: rule for name, rule in self.checks.items() if not rule.planned}

    def profile_of(self, check: str) -> ProfileRule:
        """The profile that a check belongs to. Raises KeyError for an undeclared check."""
        chapter = self.checks[check].chapter
        return next(rule for rule in self.profiles.values() if chapter in rule.chapters)

    def canonical(self, fqdn: str) -> str:
        """The payload name to decode by: the one that an old name stands for, else the name itself (D6)."""
        for domain in self.domains.values():
            if fqdn in domain.aliases:
                return domain.aliases[fqdn]
        return fqdn
