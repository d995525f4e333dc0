"""Envelopes for scenarios, made from the contract's samples; one seed, one sequence."""

from __future__ import annotations

import base64
import math
import random
from collections.abc import Mapping
from typing import Any

from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope, Headers, Topic, uuid7
from ampybus_contract.envelope.codec import compress, stored
from ampybus_contract.envelope.formula import fill
from ampybus_contract.envelope.registry import message_type
from ampybus_contract.errors import SpecError, SpecProblem
from ampybus_contract.harness.names import own_values
from ampybus_contract.validation import validate

EPOCH_MS = 1_757_100_661_000
EPOCH_RANGE_MS = 40_000_000_000
SLACK_SHARE = 256
SLACK_BYTES = 256


class Workload:
    """Makes valid envelopes of any domain that has samples. ``env`` is the first the contract declares."""

    def __init__(self, contract: Contract, seed: int) -> None:
        self.contract = contract
        self.seed = seed
        self.epoch_ms = EPOCH_MS + random.Random(f"epoch {seed}").randrange(EPOCH_RANGE_MS)
        self.headers = {name: item.example for name, item in contract.headers.items() if item.required}
        self._begin(seed)
        self.headers |= self._fitting(own_values(contract, seed))
        self._begin(seed)

    def _begin(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.made = 0

    def _fitting(self, values: Mapping[str, str]) -> dict[str, str]:
        """The values that a message may have, each by itself, in the first domain with samples."""
        like = self.envelope(self.domains[0])
        fitting = {}
        for name, value in values.items():
            other = Envelope(like.topic, like.headers.with_(**{name: value}), like.payload)
            if not validate(other, self.contract):
                fitting[name] = value
        return fitting

    @property
    def domains(self) -> list[str]:
        """The domains that envelopes can be made of."""
        return list(self.contract.samples)

    @property
    def env(self) -> str:
        """The environment that scenarios use."""
        return self.contract.topic.environments[0]

    def keyed_domain(self) -> str:
        """A domain that carries many messages of one key: ordered strictly, and without a dedupe key."""
        for name in self.domains:
            rule = self.contract.domains[name]
            if rule.ordering == "strict" and rule.dedupe_key is None:
                return name
        raise self._no_samples("a strictly ordered domain without dedupe_key")

    def private_domains(self) -> list[str]:
        """The domains with samples in which no personal data may appear."""
        found = [name for name in self.domains if name in self.contract.privacy.domains]
        if not found:
            raise self._no_samples("a domain without personal data")
        return found

    def noted(self, domain: str, text: str) -> Envelope:
        """A valid envelope, as far as the text is, whose payload holds that text."""
        envelope = self.envelope(domain)
        payload = self._payload(domain, self.parts(domain, 0), text)
        return Envelope(envelope.topic, envelope.headers, payload)

    def _no_samples(self, expected: str) -> SpecError:
        return SpecError(
            [SpecProblem("samples.yaml", 1, "/domains", expected, "none", "add samples for one")]
        )

    def latest_domain(self) -> str:
        """A domain in which the newest message of a key replaces the others, or a strictly ordered one."""
        found = (name for name in self.domains if self.contract.domains[name].latest_wins)
        return next(found, self.keyed_domain())

    def dedupe_domain(self) -> str:
        """A domain whose messages carry a dedupe key."""
        for name in self.domains:
            if self.contract.domains[name].dedupe_key is not None:
                return name
        raise self._no_samples("a domain with dedupe_key")

    def replayed_domain(self, scope: str) -> str:
        """A domain that is replayed by this scope."""
        for name in self.domains:
            if self.contract.domains[name].replay == scope:
                return name
        raise self._no_samples(f"a domain that is replayed by {scope}")

    def replay_request(
        self,
        like: Envelope,
        window: tuple[int, int] | None = None,
        key: str = "*",
        pattern: str = "",
        subtopic: str = "",
    ) -> Envelope:
        """A request to replay the domain of an envelope: a window in nanoseconds, or a key.

        ``pattern`` is a subject pattern instead of all of the domain, ``subtopic`` narrows it to one.
        """
        self.made += 1
        topic = Topic.parse(like.topic)
        message = self._message(self.contract.replay.request)
        message.request_id = f"replay-{self.made}"
        message.domain, message.version, message.subject_pattern = topic.domain, topic.version, pattern
        message.scope, message.reason, message.subtopic = key, "conformance", subtopic
        if window is not None:
            message.start.FromNanoseconds(window[0])
            message.end.FromNanoseconds(window[1])
        text = fill(self.contract.replay.control_topic, {"prefix": topic.prefix, "env": topic.env})
        rule = self.contract.domains[Topic.parse(text).domain]
        headers = self._headers(self.contract.replay.request)
        if rule.key:
            headers["partition_key"] = fill(rule.key, {"domain": topic.domain, "scope": key})
        payload: bytes = message.SerializeToString(deterministic=True)
        return Envelope(text, Headers(headers), payload)

    def envelope(
        self,
        domain: str,
        key: int = 0,
        size: int = 0,
        env: str = "",
        parts: Mapping[str, str] | None = None,
        **headers: str | None,
    ) -> Envelope:
        """A valid envelope; the same ``key`` number gives the same key, ``size`` adds that many bytes.

        ``env`` is another environment than the first, ``parts`` replaces components of the key.
        """
        self.made += 1
        rule, sample = self.contract.domains[domain], self.contract.samples[domain]
        values = self.parts(domain, key) | dict(parts or {})
        payload = self._payload(domain, values, "x" * size)
        base = self._headers(sample.payload)
        if rule.key:
            base["partition_key"] = fill(rule.key, values)
        if rule.dedupe_key:
            base["dedupe_key"] = fill(rule.dedupe_key, values)
        topic = self.contract.topic
        version = sample.payload.split(".")[-2]
        text = f"{topic.prefix}.{env or self.env}.{domain}.{version}.{fill(sample.subtopic, values)}"
        return Envelope(text, Headers(base).with_(**headers), payload)

    def parts(self, domain: str, key: int) -> dict[str, str]:
        """The components of key number ``key``."""
        components = self.contract.samples[domain].components
        return {
            name: values[key % len(values)].replace("{n}", str(self.made))
            for name, values in components.items()
        }

    def sized(self, domain: str, total: int, **headers: str | None) -> Envelope:
        """A valid envelope whose payload has exactly ``total`` bytes before compression."""
        envelope = self.envelope(domain)
        size = total
        while True:
            payload = self._payload(domain, self.parts(domain, 0), "x" * size)
            if len(payload) == total:
                return Envelope(envelope.topic, envelope.headers.with_(**headers), payload)
            size -= len(payload) - total

    def bulky(self, domain: str, key: int = 0) -> Envelope:
        """An envelope that is valid but for its payload, which reaches the size limit although compressed."""
        encoding = self.contract.payload.encodings[0]
        envelope = self.envelope(domain, key, content_encoding=encoding)
        filler = base64.b64encode(self.random.randbytes(self.contract.payload.sent_below)).decode()
        payload = compress(self._payload(domain, self.parts(domain, key), filler))
        return Envelope(envelope.topic, envelope.headers, payload)

    def filled(self, domain: str, total: int, key: int = 0) -> Envelope:
        """An envelope whose payload as sent has exactly ``total`` bytes; but for that it is valid."""
        envelope = self.envelope(domain, key, content_encoding=self.contract.payload.encodings[0])
        plain = total - total // SLACK_SHARE - SLACK_BYTES
        filler = "x" * (plain - len(self._payload(domain, self.parts(domain, key), "")))
        payload = stored(self._payload(domain, self.parts(domain, key), filler), total)
        return Envelope(envelope.topic, envelope.headers, payload)

    def keys(self, domain: str) -> int:
        """How many keys the samples give a domain."""
        components = self.contract.samples[domain].components
        return math.lcm(*(len(values) for values in components.values()))

    def pointer(self, domain: str, key: int = 0) -> Envelope:
        """A valid pointer envelope: no payload, and the pointer headers of the contract."""
        examples = {name: self.contract.headers[name].example for name in self.contract.pointer_headers}
        envelope = self.envelope(domain, key)
        return Envelope(envelope.topic, envelope.headers.with_(**examples), b"")

    def _headers(self, fqdn: str) -> dict[str, str]:
        """Every required header, with an id of its own."""
        base = dict(self.headers)
        base["message_id"] = str(uuid7(self.epoch_ms + self.made, self.random.getrandbits(74)))
        base["schema_fqdn"] = fqdn
        return base

    def _message(self, fqdn: str) -> Any:
        kind = message_type(fqdn)
        if kind is None:
            fix = "name a type of ampy-proto, or put its .proto under spec/proto"
            raise SpecError([SpecProblem("samples.yaml", 1, "/domains", "a payload type", fqdn, fix)])
        return kind()

    def _payload(self, domain: str, parts: dict[str, str], filler: str) -> bytes:
        rule, sample = self.contract.domains[domain], self.contract.samples[domain]
        message = self._message(sample.payload)
        for name, text in parts.items():
            _set(message, rule.components[name].paths[0], text)
        _set(message, sample.counter, self.made)
        if filler:
            _set(message, sample.filler, filler)
        serialized: bytes = message.SerializeToString(deterministic=True)
        return serialized


def _set(message: Any, path: str, value: object) -> None:
    *parents, field = path.split(".")
    for name in parents:
        message = getattr(message, name)
    setattr(message, field, value)
