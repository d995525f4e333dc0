"""Faults of spans, and of the context that travels with a message."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from opentelemetry import context, trace

from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.contract import Contract
from ampybus_contract.contract.chapters import TracingRule
from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.generated.fault import MESSAGE, Fault, Strike
from ampybus_contract.harness.generated.telemetry import on_telemetry

CHAPTER = "Observability"
Method = Callable[..., Any]
Misread = Callable[[TracingRule], TracingRule]
Spanned = Callable[[Any, Method, str, Envelope, bool], Any]


def faults(contract: Contract) -> Iterator[Fault]:
    """Every fault of spans."""
    for role in contract.tracing.spans:
        for operator, subject, says, wrapper in (
            ("drop", "span", "makes no span to", _none),
            ("repeat", "span", "makes two spans to", _two),
            ("alter", "trace", "begins a trace of its own to", _own_trace),
            ("alter", "parent", "takes no parent for the span to", _no_parent),
            ("drop", "link", "links no producer when it makes the span to", _unlinked),
            ("repeat", "link", "links a producer at the span to", _linked),
        ):
            if _means(role, subject, operator):
                install = partial(_spanned, role, wrapper)
                yield Fault(
                    "span", operator, f"{role}.{subject}", f"{says} {role}", CHAPTER, MESSAGE, install
                )
        for operator, subject, says, misread in _rules(contract, role):
            install = partial(_read, role, misread)
            yield Fault("span", operator, f"{role}.{subject}", f"{says} {role}", CHAPTER, MESSAGE, install)
    header = contract.tracing.propagates
    said = f"sends no {header} of its own"
    yield Fault("span", "drop", f"context.{header}", said, CHAPTER, MESSAGE, _no_context)
    said = "sends a context of another trace"
    yield Fault("span", "alter", "context.trace", said, CHAPTER, MESSAGE, partial(_context, _other_trace))
    said = "sends a context that no span has"
    yield Fault("span", "alter", "context.span", said, CHAPTER, MESSAGE, partial(_context, _other_span))
    said = "writes the payload into the attributes of spans"
    yield Fault("span", "ignore", "payload", said, CHAPTER, MESSAGE, _telling)


def _means(role: str, subject: str, operator: str) -> bool:
    """Whether a role has what the fault is about: consumers have links, and a publish has no parent here."""
    if subject == "link":
        return (operator == "drop") == (role == "consume")
    return not (subject == "parent" and role == "publish")


def _rules(contract: Contract, role: str) -> Iterator[tuple[str, str, str, Misread]]:
    for name in contract.tracing.attributes:
        short = name.removeprefix("messaging.")
        yield "drop", short, f"leaves {name} out of the span to", partial(_attribute, name, None)
        yield (
            "alter",
            f"{short}.fixed",
            f"writes a fixed {name} into the span to",
            partial(_attribute, name, "x"),
        )
    for name, other in (
        ("messaging.destination.name", "{family}"),
        ("messaging.destination.template", "{topic}"),
        ("messaging.message.id", "{topic}"),
    ):
        if name in contract.tracing.attributes:
            said = f"writes {other} into {name} of the span to"
            yield (
                "swap",
                f"{name.removeprefix('messaging.')}.{other[1:-1]}",
                said,
                partial(_attribute, name, other),
            )
    rule = contract.tracing.spans[role]
    for subject, says, changed in (
        (
            "name.topic",
            "names whole topics in the span to",
            replace(rule, name=rule.name.replace("family", "topic")),
        ),
        (
            "name.bare",
            "names no topic in the span to",
            replace(rule, name=rule.name.split(" ", maxsplit=1)[0]),
        ),
        ("kind", "gives another kind to the span to", replace(rule, kind=_other_kind(rule.kind))),
        ("operation", "gives another operation to the span to", replace(rule, operation="create")),
    ):
        yield "alter", subject, says, partial(_role, role, changed)


def _other_kind(kind: str) -> str:
    return "internal" if kind != "internal" else "consumer"


def _attribute(name: str, form: str | None, rule: TracingRule) -> TracingRule:
    attributes = {one: old for one, old in rule.attributes.items() if one != name}
    return replace(rule, attributes=attributes if form is None else {**attributes, name: form})


def _role(role: str, changed: Any, rule: TracingRule) -> TracingRule:
    return replace(rule, spans={**rule.spans, role: changed})


def on_tracing(strike: Strike, binding: ReferenceBinding, patch: Callable[[Any], None]) -> None:
    """Patch what makes spans, where the binding makes any."""

    def watching(made: Any) -> None:
        if made.tracing is not None:
            patch(made.tracing)

    on_telemetry(strike, binding, watching)


def _spanned(role: str, wrapper: Spanned, strike: Strike, binding: ReferenceBinding) -> None:
    def patch(tracing: Any) -> None:
        def span(method: Method, name: str, envelope: Envelope, linked: bool = False) -> Any:
            if name == role and strike(envelope):
                return wrapper(tracing, method, name, envelope, linked)
            return method(name, envelope, linked)

        strike.around(tracing, "span", span)

    on_tracing(strike, binding, patch)


@contextmanager
def _none(tracing: Any, method: Method, name: str, envelope: Envelope, linked: bool) -> Iterator[Any]:
    """Like a span that is not sampled: nobody exports it."""
    own = trace.SpanContext(secrets.randbits(127) | 1, secrets.randbits(63) | 1, is_remote=False)
    yield trace.NonRecordingSpan(own)


@contextmanager
def _two(tracing: Any, method: Method, name: str, envelope: Envelope, linked: bool) -> Iterator[Any]:
    with method(name, envelope, linked), method(name, envelope, linked) as span:
        yield span


def _own_trace(tracing: Any, method: Method, name: str, envelope: Envelope, linked: bool) -> Any:
    other = {"trace_id": secrets.token_hex(16), "traceparent": None, "span_id": None}
    return method(name, replace(envelope, headers=envelope.headers.with_(**other)), linked)


@contextmanager
def _no_parent(tracing: Any, method: Method, name: str, envelope: Envelope, linked: bool) -> Iterator[Any]:
    """In the trace of the message, as if it were its first span."""
    plain = envelope.headers.with_(traceparent=None, span_id=None)
    token = context.attach(trace.set_span_in_context(trace.INVALID_SPAN))
    try:
        with method(name, replace(envelope, headers=plain), linked) as span:
            yield span
    finally:
        context.detach(token)


def _unlinked(tracing: Any, method: Method, name: str, envelope: Envelope, linked: bool) -> Any:
    return method(name, envelope, False)


def _linked(tracing: Any, method: Method, name: str, envelope: Envelope, linked: bool) -> Any:
    return method(name, envelope, True)


def _read(role: str, misread: Misread, strike: Strike, binding: ReferenceBinding) -> None:
    def span(tracing: Any, method: Method, name: str, envelope: Envelope, linked: bool) -> Any:
        return _misread(tracing, misread, method(name, envelope, linked))

    _spanned(role, span, strike, binding)


@contextmanager
def _misread(tracing: Any, misread: Misread, made: Any) -> Iterator[Any]:
    """Begin a span by another rule; what begins within it goes by the right one."""
    right = tracing.rule
    tracing.rule = misread(right)
    try:
        made.__enter__()
    finally:
        tracing.rule = right
    try:
        yield trace.get_current_span()
    except BaseException as error:
        made.__exit__(type(error), error, error.__traceback__)
        raise
    else:
        made.__exit__(None, None, None)


def _no_context(strike: Strike, binding: ReferenceBinding) -> None:
    def patch(tracing: Any) -> None:
        @contextmanager
        def publishing(method: Method, envelope: Envelope) -> Iterator[Envelope]:
            with method(envelope) as traced:
                yield envelope if strike(envelope) else traced

        strike.around(tracing, "publishing", publishing)

    on_tracing(strike, binding, patch)


def _context(change: Callable[[str], str], strike: Strike, binding: ReferenceBinding) -> None:
    def patch(tracing: Any) -> None:
        @contextmanager
        def publishing(method: Method, envelope: Envelope) -> Iterator[Envelope]:
            with method(envelope) as traced:
                text = traced.headers.get("traceparent", "")
                own = text and text != envelope.headers.get("traceparent")
                wrong = change(text) if own and strike(envelope) else text or None
                yield replace(traced, headers=traced.headers.with_(traceparent=wrong))

        strike.around(tracing, "publishing", publishing)

    on_tracing(strike, binding, patch)


def _other_trace(text: str) -> str:
    version, _, span, flags = text.split("-")
    return f"{version}-{secrets.token_hex(16)}-{span}-{flags}"


def _other_span(text: str) -> str:
    version, name, _, flags = text.split("-")
    return f"{version}-{name}-{secrets.token_hex(8)}-{flags}"


def _telling(strike: Strike, binding: ReferenceBinding) -> None:
    def patch(tracing: Any) -> None:
        def span(method: Method, name: str, envelope: Envelope, linked: bool = False) -> Any:
            made = method(name, envelope, linked)
            return _with_payload(made, envelope) if strike(envelope) else made

        strike.around(tracing, "span", span)

    on_tracing(strike, binding, patch)


@contextmanager
def _with_payload(made: Any, envelope: Envelope) -> Iterator[Any]:
    with made as span:
        span.set_attribute("messaging.message.body", envelope.payload.hex())
        yield span
