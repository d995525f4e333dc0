"""The contract's metrics, log records and spans, made from what a binding does (section 11, D32 to D34)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from ampybus_contract.bindings.observer import Observer
from ampybus_contract.bindings.protocol import LOGS_FILE, METRICS_FILE, SPANS_FILE
from ampybus_contract.bindings.tracing import SpanFile, Tracing
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope, Topic
from ampybus_contract.envelope.formula import fill
from ampybus_contract.envelope.instant import nanoseconds
from ampybus_contract.errors import TopicError

Metric = Counter | Gauge | Histogram
KINDS = {"counter": Counter, "gauge": Gauge, "histogram": Histogram}
BUCKETS = {
    "milliseconds": (1, 2, 5, 10, 20, 50, 100, 150, 250, 500, 1_000, 5_000, 60_000),
    "bytes": (256, 1_024, 4_096, 16_384, 65_536, 131_072, 262_144, 524_288, 1_048_576),
}
UNKNOWN = "unknown"


class Telemetry(Observer):
    """Watches a binding.

    Metrics go to a Prometheus ``registry``, which the service exposes as it likes; each log record, one line
    of JSON, to ``log``; spans to a ``spans`` processor of OpenTelemetry. What is None is not made.
    """

    def __init__(
        self,
        contract: Contract,
        registry: CollectorRegistry | None = None,
        log: Callable[[str], None] | None = None,
        spans: SpanProcessor | None = None,
    ) -> None:
        self.contract = contract
        self.registry = registry
        self.log = log
        self.done, self.again, self.buried_as = contract.logs.results
        self.tracing = Tracing(contract, spans) if spans is not None else None
        self.metrics: dict[str, list[tuple[tuple[str, ...], Any]]] = {}
        for rule in contract.metrics.values() if registry is not None else ():
            more = {"buckets": BUCKETS[rule.unit]} if rule.kind == "histogram" else {}
            metric = KINDS[rule.kind](
                rule.prometheus_name, f"{rule.name} in {rule.unit}", rule.labels, registry=registry, **more
            )
            self.metrics.setdefault(rule.measures, []).append((rule.labels, metric))

    @contextmanager
    def publishing(self, envelope: Envelope) -> Iterator[Envelope]:
        """A producer span; once stored, a record and its size."""
        if self.tracing is None:
            yield envelope
        else:
            with self.tracing.publishing(envelope) as traced:
                yield traced
        self._each("published", envelope, lambda metric: metric.inc())
        self._each("size", envelope, lambda metric: metric.observe(len(envelope.payload)))
        self._say(envelope, self.done)

    @contextmanager
    def consuming(self, group: str, envelope: Envelope) -> Iterator[None]:
        """A consumer span, in the trace of the producer."""
        if self.tracing is None:
            yield
        else:
            with self.tracing.span("consume", envelope, linked=True):
                yield

    @contextmanager
    def handling(self, group: str, envelope: Envelope, attempt: int) -> Iterator[None]:
        """A span for each attempt; the latency at the first one."""
        if attempt == 1:
            latency = self.latency_ms(envelope)
            self._each("latency", envelope, lambda metric: metric.observe(latency))
        if self.tracing is None:
            yield
        else:
            with self.tracing.span("handle", envelope):
                yield

    @contextmanager
    def routing(self, envelope: Envelope, topic: str) -> Iterator[None]:
        """An internal span."""
        if self.tracing is None:
            yield
        else:
            with self.tracing.span("route", Envelope(topic, envelope.headers, b"")):
                yield

    def applied(self, group: str, envelope: Envelope) -> None:
        """One record more."""
        self._each("applied", envelope, lambda metric: metric.inc(), group)
        self._say(envelope, self.done, group)

    def retried(self, group: str, envelope: Envelope, kind: str) -> None:
        """One retry more, by the code of its kind."""
        code = self.contract.dead_letter.codes[kind]
        self._each("retried", envelope, lambda metric: metric.inc(), group, code)
        self._say(envelope, self.again, group)

    def buried(self, group: str, envelope: Envelope, kind: str) -> None:
        """One dead letter more, by the code of its kind; one decode failure more where it is one."""
        code = self.contract.dead_letter.codes[kind]
        self._each("dead_lettered", envelope, lambda metric: metric.inc(), group, code)
        if kind == "undecodable":
            self._each(kind, envelope, lambda metric: metric.inc(), group, code)
        self._say(envelope, self.buried_as, group)

    def lagging(self, group: str, envelope: Envelope, records: int) -> None:
        """The gauge of the group."""
        self._each("lag", envelope, lambda metric: metric.set(records), group)

    def latency_ms(self, envelope: Envelope) -> float:
        """Milliseconds since the message was produced; 0 where that is ahead of this clock, or unreadable."""
        try:
            produced = nanoseconds(envelope.headers.get("produced_at", ""))
        except ValueError:
            return 0.0
        return max(0.0, (time.time_ns() - produced) / 1e6)

    def close(self) -> None:
        """End the spans' processor."""
        if self.tracing is not None:
            self.tracing.close()

    def _each(
        self,
        measures: str,
        envelope: Envelope,
        act: Callable[[Any], None],
        group: str = UNKNOWN,
        code: str = UNKNOWN,
    ) -> None:
        for labels, metric in self.metrics.get(measures, ()):
            act(metric.labels(*(self._label(name, envelope, group, code) for name in labels)))

    def _label(self, name: str, envelope: Envelope, group: str, code: str) -> str:
        form = self.contract.labels[name].form
        return code if form is None else fill(form, _parts(envelope, group))

    def _say(self, envelope: Envelope, result: str, group: str | None = None) -> None:
        if self.log is None:
            return
        rule = self.contract.logs
        known: dict[str, object] = {
            **envelope.headers,
            "topic": envelope.topic,
            "result": result,
            "latency_ms": round(self.latency_ms(envelope), 3),
            "consumer": group,
        }
        side = [name for name in rule.one_of if (name == "consumer") == (group is not None)]
        self.log(json.dumps({name: known.get(name) for name in (*rule.fields, *side)}))


class FileTelemetry(Telemetry):
    """Writes all three into the files of a directory, for a run that reads them afterwards."""

    def __init__(self, contract: Contract, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.file = directory / METRICS_FILE
        self.lines = (directory / LOGS_FILE).open("a", encoding="utf-8")
        spans = SimpleSpanProcessor(SpanFile(directory / SPANS_FILE))
        super().__init__(contract, CollectorRegistry(), self._line, spans)

    def _line(self, line: str) -> None:
        self.lines.write(f"{line}\n")

    def close(self) -> None:
        """Write the metrics as they are now, and close the files."""
        super().close()
        self.lines.close()
        assert self.registry is not None
        self.file.write_bytes(generate_latest(self.registry))


def _parts(envelope: Envelope, group: str) -> dict[str, str]:
    """What label forms may name: the parts of the topic, the producer and the consumer."""
    try:
        topic = Topic.parse(envelope.topic)
        place = {name: getattr(topic, name) for name in ("prefix", "env", "domain", "version")}
    except TopicError:
        place = dict.fromkeys(("prefix", "env", "domain", "version"), UNKNOWN)
    return {**place, "producer": envelope.headers.get("producer", UNKNOWN), "consumer": group}
