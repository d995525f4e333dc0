"""Spans of a binding, in the trace that the headers of each message name (section 11, D12, D34)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.envelope.formula import fill

KINDS = {
    "producer": trace.SpanKind.PRODUCER,
    "consumer": trace.SpanKind.CONSUMER,
    "internal": trace.SpanKind.INTERNAL,
}


class Tracing:
    """Starts the spans of the contract; a message without span context gets one of its own trace."""

    def __init__(self, contract: Contract, spans: SpanProcessor) -> None:
        self.rule = contract.tracing
        self.header = contract.headers[self.rule.propagates]
        self.family = next(rule.form for rule in contract.labels.values() if rule.holds == "family") or ""
        self.given = _GivenTrace()
        self.provider = TracerProvider(id_generator=self.given, shutdown_on_exit=False)
        self.provider.add_span_processor(spans)
        self.tracer = self.provider.get_tracer("ampybus_contract")

    @contextmanager
    def publishing(self, envelope: Envelope) -> Iterator[Envelope]:
        """A producer span; gives the envelope with its context, unless it names one already."""
        with self.span("publish", envelope) as span:
            headers = envelope.headers
            if self._context(envelope) is None and self._trace(envelope) is not None:
                context = span.get_span_context()
                text = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
                headers = headers.with_(**{self.header.name: text})
            yield Envelope(envelope.topic, headers, envelope.payload)

    @contextmanager
    def span(self, role: str, envelope: Envelope, linked: bool = False) -> Iterator[trace.Span]:
        """A span about a message, below the current one of its trace, else below the one it came with."""
        rule = self.rule.spans[role]
        origin = self._context(envelope)
        current = trace.get_current_span().get_span_context()
        wanted = origin.trace_id if origin is not None else self._trace(envelope)
        if current.is_valid and current.trace_id == wanted:
            parent = None
        elif origin is not None:
            parent = trace.set_span_in_context(trace.NonRecordingSpan(origin), Context())
        else:
            parent = Context()
        self.given.trace_id = wanted
        parts = self._parts(envelope, rule.operation)
        with self.tracer.start_as_current_span(
            fill(rule.name, parts),
            context=parent,
            kind=KINDS[rule.kind],
            attributes={name: fill(form, parts) for name, form in self.rule.attributes.items()},
            links=[trace.Link(origin)] if linked and origin is not None else [],
        ) as span:
            yield span

    def close(self) -> None:
        """Export what is left."""
        self.provider.shutdown()

    def _parts(self, envelope: Envelope, operation: str) -> dict[str, str]:
        tokens = [*envelope.topic.split("."), "", "", "", ""]
        place = dict(zip(("prefix", "env", "domain", "version"), tokens, strict=False))
        return {
            "operation": operation,
            "topic": envelope.topic,
            "family": fill(self.family, place),
            "message_id": envelope.headers.get("message_id", ""),
        }

    def _trace(self, envelope: Envelope) -> int | None:
        text = envelope.headers.get("trace_id", "")
        try:
            return int(text, 16) or None
        except ValueError:
            return None

    def _context(self, envelope: Envelope) -> trace.SpanContext | None:
        """The span that headers name, or None."""
        match = self.header.pattern.fullmatch(envelope.headers.get(self.header.name, ""))
        names = match.groupdict() if match else envelope.headers
        try:
            ids = int(names["trace_id"], 16), int(names["span_id"], 16)
        except (KeyError, ValueError):
            return None
        return trace.SpanContext(*ids, is_remote=True, trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED))


class _GivenTrace(RandomIdGenerator):
    """Begins a trace under the id that a message names."""

    trace_id: int | None = None

    def generate_trace_id(self) -> int:
        return self.trace_id or super().generate_trace_id()

    def is_trace_id_random(self) -> bool:
        """How the producer made it is not known here."""
        return False


class SpanFile(SpanExporter):
    """Appends each span to a file, as one JSON object a line."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("a", encoding="utf-8")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write spans."""
        for span in spans:
            self.file.write(json.dumps(_plain(span)) + "\n")
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Close the file."""
        self.file.close()


def _plain(span: ReadableSpan) -> dict[str, Any]:
    context, parent = span.get_span_context(), span.parent
    assert context is not None
    return {
        "name": span.name,
        "kind": span.kind.name.lower(),
        "trace_id": f"{context.trace_id:032x}",
        "span_id": f"{context.span_id:016x}",
        "parent_span_id": f"{parent.span_id:016x}" if parent else None,
        "links": [
            {"trace_id": f"{link.context.trace_id:032x}", "span_id": f"{link.context.span_id:016x}"}
            for link in span.links
        ],
        "attributes": dict(span.attributes or {}),
    }
