"""Spans: named as the contract says, and in one trace for each message (section 11, D12, D34)."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from ampybus_contract.contract import Contract
from ampybus_contract.contract.chapters import SpanRule
from ampybus_contract.envelope.formula import fill
from ampybus_contract.harness.checkers.reading import (
    History,
    first_published,
    is_dead_letter,
    only,
    span_headers,
)
from ampybus_contract.harness.history import Anomaly, Event, Operation, Outcome

Span = Mapping[str, Any]


def trace_broken(history: History, contract: Contract) -> list[Anomaly]:
    """A span outside the trace that its message names, or with no way back to the span of its publish.

    Sample: publish a in trace 1, handle a in trace 2. Retries, the DLQ and redrives stay in the trace.
    """
    found: list[Anomaly] = []
    spans = _by_message(history, contract)
    for name, (origin,) in first_published(history).items():
        wanted = origin.envelope.headers.get("trace_id")
        mine = spans.get(name, [])
        outside = [item for item, span in mine if span.get("trace_id") != wanted]
        if outside:
            found.append(Anomaly("A span is outside the trace of its message.", (origin, outside[0])))
            continue
        roots = {
            span.get("span_id")
            for _, span in mine
            if span.get("kind") == contract.tracing.spans["publish"].kind
        }
        known = {str(span.get("span_id")): span for _, span in mine}
        roots |= _given(origin, contract) if roots else set()
        lost = [item for item, span in mine if roots and not _reaches(span, roots, known)]
        if lost:
            said = "A span is not linked to the publish of its message."
            found.append(Anomaly(said, (origin, lost[0])))
    return found


def span_missing(history: History, contract: Contract) -> list[Anomaly]:
    """A publish, an attempt of the handler, a dead letter or a redrive of which no span tells."""
    done: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], Event] = {}
    letters = {item.id for item in only(history, Operation.STORE) if is_dead_letter(item.topic, contract)}
    stored: Counter[str] = Counter()
    for item in history:
        roles = []
        if item.operation is Operation.PUBLISH and item.outcome is Outcome.OK:
            roles.append("publish")
        elif item.operation is Operation.DELIVER:
            roles.append("handle")
        elif item.operation is Operation.STORE and item.id in letters:
            stored[item.id] += 1
            if stored[item.id] > 1:
                roles.append("route")
        for role in roles:
            done[item.id, role] += 1
            first.setdefault((item.id, role), item)
    spans = _by_message(history, contract)
    found: list[Anomaly] = []
    for (name, role), count in done.items():
        rule = contract.tracing.spans[role]
        shown = sum(_is(span, rule, contract) for _, span in spans.get(name, []))
        if shown < count:
            said = f"{count} times {role}, and {shown} spans tell of it as the contract says."
            found.append(Anomaly(said, (first[name, role],)))
    return found


def _given(origin: Event, contract: Contract) -> set[Any]:
    """The span that a message named when it was published, where a producer may leave it (D41)."""
    headers = origin.envelope.headers
    holder = contract.headers[contract.tracing.propagates]
    found = holder.pattern.fullmatch(headers.get(holder.name, ""))
    named = {**headers, **(found.groupdict() if found else {})}
    return {named[name] for name in span_headers(contract) - {holder.name} if name in named}


def _by_message(history: History, contract: Contract) -> dict[str, list[tuple[Event, Span]]]:
    """The spans of each message, by the attribute that holds its id."""
    holds_id = [name for name, form in contract.tracing.attributes.items() if form == "{message_id}"]
    found: dict[str, list[tuple[Event, Span]]] = defaultdict(list)
    for item in only(history, Operation.SPAN):
        try:
            span = json.loads(item.said)
            attributes = dict(span["attributes"])
        except (ValueError, TypeError, KeyError):
            continue
        for name in holds_id:
            found[str(attributes.get(name, "")).lower()].append((item, span))
    return found


def _reaches(span: Span, roots: set[Any], known: Mapping[str, Span]) -> bool:
    """Whether parents or links lead from a span to one of the roots."""
    todo, seen = [span], set[str]()
    while todo:
        item = todo.pop()
        name = str(item.get("span_id"))
        if item.get("span_id") in roots:
            return True
        if name in seen:
            continue
        seen.add(name)
        ways = [item.get("parent_span_id"), *(link.get("span_id") for link in item.get("links", ()))]
        if any(way in roots for way in ways):
            return True
        todo += [known[way] for way in ways if way in known]
    return False


def _is(span: Span, rule: SpanRule, contract: Contract) -> bool:
    """Whether a span has the name, the kind and the attributes of a rule."""
    attributes = span["attributes"]
    forms = contract.tracing.attributes
    held = {form[1:-1]: str(attributes.get(name, "")) for name, form in forms.items()}
    place = ".".join(held.get("topic", "").split(".")[:4])
    return (
        span.get("name") == fill(rule.name, {**held, "family": place})
        and span.get("kind") == rule.kind
        and held.get("operation") == rule.operation
        and held.get("family") == place
    )
