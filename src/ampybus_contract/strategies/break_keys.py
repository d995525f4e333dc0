"""Ways to break the requirements on keys, and on what topic, keys and payload say of one another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ampybus_contract.envelope import Envelope, Topic
from ampybus_contract.envelope.formula import fill
from ampybus_contract.envelope.registry import decode
from ampybus_contract.strategies.breaking import Change, Way, one_of, own_shapes, with_headers, with_topic
from ampybus_contract.strategies.entropy import Entropy
from ampybus_contract.strategies.envelope_maker import EnvelopeMaker, Made, Shape
from ampybus_contract.strategies.header_values import trial
from ampybus_contract.strategies.payload_parts import live, set_text

_ATTEMPTS = 8


def key_ways(maker: EnvelopeMaker) -> Iterator[Way]:
    """A way for each role in the key rules, over the domains that have what it takes."""
    broken = _Keys(maker)
    ids, own, domains = maker.contract.key_requirements, own_shapes(maker), maker.contract.domains
    keyed = tuple(shape for shape in own if domains[shape.domain].key)
    deduped = tuple(shape for shape in own if domains[shape.domain].dedupe_key)
    yield Way(ids["formula"], keyed, broken.other("partition_key"))
    yield Way(ids["dedupe"], deduped, broken.other("dedupe_key"))
    yield Way(ids["dedupe"], deduped, lambda made, _shape, _entropy: with_headers(made, dedupe_key=None))
    for shape in own:
        for name in domains[shape.domain].components:
            yield Way(ids["separator"], (shape,), broken.separated(name), partial=True)
    shared = tuple(shape for shape in own if maker.agreements[shape.domain].subtopics.shared)
    yield Way(ids["subtopic"], shared, broken.elsewhere, partial=True)
    for shape in own:
        if requirement := domains[shape.domain].key_without_requirement:
            yield Way(requirement, (shape,), broken.shortened)
        if (
            domains[shape.domain].payloads[shape.fqdn].when
            or domains[shape.domain].payloads[shape.fqdn].choice
        ):
            yield Way(
                maker.contract.payload.requirements["subtopic"], (shape,), broken.other_kind, partial=True
            )


class _Keys:
    def __init__(self, maker: EnvelopeMaker) -> None:
        self.contract, self.agreements = maker.contract, maker.agreements

    def other(self, header: str) -> Change:
        """Give a key header another text that it may have."""
        rule = self.contract.headers[header]

        def change(made: Made, _shape: Shape, entropy: Entropy) -> Envelope | None:
            now = made.envelope.headers[header]
            turned = ".".join(reversed(now.split(".")))
            texts = (f"{now}x", turned, now.swapcase(), made.envelope.topic, f"{now}|x", "other")
            text = one_of(texts, lambda text: text != now and bool(rule.pattern.fullmatch(text)), entropy)
            return None if text is None else with_headers(made, **{header: text})

        return change

    def separated(self, component: str) -> Change:
        """Put the separator into a component, and let topic and keys follow."""

        def change(made: Made, shape: Shape, entropy: Entropy) -> Envelope | None:
            rule, agreement = self.contract.domains[shape.domain], self.agreements[shape.domain]
            message: Any = decode(shape.fqdn, made.plain)
            field_name = rule.payloads[shape.fqdn].item
            items = list(getattr(message, field_name)) if field_name else [message]
            groups = agreement.under(Topic.parse(made.envelope.topic).subtopic)
            separator, now = self.contract.key_separator, agreement.read(items[0], groups)[component]
            text = entropy.choice((f"{now}{separator}x", f"{separator}{now}", f"{now}{separator}", separator))
            for item in items:
                for path in live(item, rule.components[component].paths):
                    set_text(item, path, text)
            given = {name: old for name, old in groups.items() if old is not None}
            if component in groups or rule.components[component].topic:
                given[rule.components[component].topic or component] = text
            subtopic = agreement.subtopics.of(given, entropy)
            if subtopic is None:
                return None
            parts = agreement.read(items[0], agreement.under(subtopic))
            if parts[component] != text:
                return None
            tokens = made.envelope.topic.split(".")[:4]
            headers = made.envelope.headers.with_(**agreement.keys(parts))
            payload = message.SerializeToString(deterministic=True)
            return Envelope(".".join([*tokens, subtopic]), headers, payload)

        return change

    def shortened(self, made: Made, shape: Shape, _entropy: Entropy) -> Envelope | None:
        """Leave the optional part out of the key."""
        rule, agreement = self.contract.domains[shape.domain], self.agreements[shape.domain]
        message: Any = decode(shape.fqdn, made.plain)
        field_name = rule.payloads[shape.fqdn].item
        items = list(getattr(message, field_name)) if field_name else [message]
        if not items or rule.key_without is None:
            return None
        groups = agreement.under(Topic.parse(made.envelope.topic).subtopic)
        return with_headers(made, partition_key=fill(rule.key_without, agreement.read(items[0], groups)))

    def other_kind(self, made: Made, shape: Shape, entropy: Entropy) -> Envelope | None:
        """Publish on a subtopic that names another kind of payload, and all else as before."""
        payload, agreement = (
            self.contract.domains[shape.domain].payloads[shape.fqdn],
            self.agreements[shape.domain],
        )
        groups = agreement.under(Topic.parse(made.envelope.topic).subtopic)
        naming = {*payload.when, *filter(None, [payload.choice])}
        given = {name: text for name, text in groups.items() if text is not None and name not in naming}
        for number in range(_ATTEMPTS):
            other = agreement.subtopics.of(given, trial(number) if number else entropy)
            if other is not None and any(agreement.under(other)[name] != groups[name] for name in naming):
                return with_topic(made, ".".join([*made.envelope.topic.split(".")[:4], other]))
        return None

    def elsewhere(self, made: Made, shape: Shape, entropy: Entropy) -> Envelope | None:
        """Publish on a topic that names something else than the payload does."""
        agreement = self.agreements[shape.domain]
        pattern, subtopics = self.contract.domains[shape.domain].subtopic, agreement.subtopics
        topic = Topic.parse(made.envelope.topic)
        match = pattern.fullmatch(topic.subtopic)
        own = match.groupdict() if match else {}
        named = {name: own[name] for name in subtopics.shared if own.get(name) is not None}
        for number in range(_ATTEMPTS):
            source = trial(number) if number else entropy
            texts = subtopics.parts(source)
            if named and texts and any(texts.get(name) != text for name, text in named.items()):
                other = subtopics.of({**own, **texts}, source)
                if other is None:
                    continue
                found = agreement.under(other)
                if any(found.get(name) not in (None, text) for name, text in named.items()):
                    return with_topic(made, ".".join([*made.envelope.topic.split(".")[:4], other]))
        return None
