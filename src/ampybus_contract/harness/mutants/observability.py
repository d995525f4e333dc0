"""Bindings that tell wrong things of their work."""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ampybus_contract.bindings.observer import Observer
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.telemetry import FileTelemetry
from ampybus_contract.bindings.transport import Transport
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.envelope.instant import nanoseconds
from ampybus_contract.harness.mutants.build import Build, Mutant, setting


class ShowsNothing(ReferenceBinding):
    """Claims telemetry and has none."""

    def telemetry(self, directory: Path) -> Observer:
        return Observer()


class ConcreteTopics(FileTelemetry):
    """Makes a series of each topic."""

    def _label(self, name: str, envelope: Envelope, group: str, code: str) -> str:
        whole = self.contract.labels[name].holds == "family"
        return envelope.topic if whole else super()._label(name, envelope, group, code)


class CountsAttempts(FileTelemetry):
    """Counts a failed attempt as consumed."""

    def retried(self, group: str, envelope: Envelope, kind: str) -> None:
        super().retried(group, envelope, kind)
        self._each("applied", envelope, lambda metric: metric.inc(), group)


class ErrorTexts(FileTelemetry):
    """Puts what happened into the reason label."""

    def _label(self, name: str, envelope: Envelope, group: str, code: str) -> str:
        text = super()._label(name, envelope, group, code)
        return f"{text}: it broke" if self.contract.labels[name].holds == "reason_code" else text


class ForgetsRefusals(FileTelemetry):
    """Counts no dead letters of signals."""

    def buried(self, group: str, envelope: Envelope, kind: str) -> None:
        if envelope.topic.split(".")[2] != "signals":
            super().buried(group, envelope, kind)


class LogsAnotherTrace(FileTelemetry):
    """Writes the id of a span for that of the trace, where a message names one."""

    def _say(self, envelope: Envelope, result: str, group: str | None = None) -> None:
        span = envelope.headers.get("span_id")
        headers = envelope.headers.with_(trace_id=span) if span else envelope.headers
        super()._say(replace(envelope, headers=headers), result, group)


class AddsUpOtherSizes(FileTelemetry):
    """Measures compressed payloads with their headers."""

    @contextmanager
    def publishing(self, envelope: Envelope) -> Iterator[Envelope]:
        packed = "content_encoding" in envelope.headers
        heavier = replace(envelope, payload=envelope.payload + b"header") if packed else envelope
        with super().publishing(heavier) as traced:
            yield replace(traced, payload=envelope.payload)


class NewTraces(FileTelemetry):
    """Begins another trace for each attempt."""

    @contextmanager
    def handling(self, group: str, envelope: Envelope, attempt: int) -> Iterator[None]:
        with super().handling(group, _elsewhere(self.contract, envelope), attempt):
            yield


class NewTraceForRoutes(FileTelemetry):
    """Begins another trace for a dead letter or a redrive."""

    @contextmanager
    def routing(self, envelope: Envelope, topic: str) -> Iterator[None]:
        with super().routing(_elsewhere(self.contract, envelope), topic):
            yield


class Unlinked(FileTelemetry):
    """Knows the trace of a message, and not the span that published it."""

    @contextmanager
    def consuming(self, group: str, envelope: Envelope) -> Iterator[None]:
        with super().consuming(group, setting(**{self.contract.tracing.propagates: None})(envelope)):
            yield


class NegativeLatency(FileTelemetry):
    """Takes the difference of two clocks as it is."""

    def latency_ms(self, envelope: Envelope) -> float:
        return (time.time_ns() - nanoseconds(envelope.headers["produced_at"])) / 1e6


class KeepsFirstLag(FileTelemetry):
    """Shows the lag that a group had at first."""

    def __init__(self, contract: Contract, directory: Path) -> None:
        super().__init__(contract, directory)
        self.known: set[str] = set()

    def lagging(self, group: str, envelope: Envelope, records: int) -> None:
        if group not in self.known:
            self.known.add(group)
            super().lagging(group, envelope, records)


class AsksNobody(ReferenceBinding):
    """Knows of the lag what came with the records that it took."""

    async def measure(self) -> None:
        return None


def mutants(_contract: Contract) -> list[Mutant]:
    """Every mutant of the chapter."""
    return [
        Mutant("renames a metric", "OBS-01", _renaming),
        Mutant("labels metrics with whole topics", "OBS-01", _watched(ConcreteTopics)),
        Mutant("claims metrics and shows none", "OBS-01", ShowsNothing),
        Mutant("counts attempts as successes", "OBS-02", _watched(CountsAttempts)),
        Mutant("uses the error text as reason", "OBS-03", _watched(ErrorTexts)),
        Mutant("begins a new trace per attempt", "OBS-04", _watched(NewTraces)),
        Mutant("begins a new trace in the DLQ", "OBS-04", _watched(NewTraceForRoutes)),
        Mutant("does not link to the producer", "OBS-04", _watched(Unlinked)),
        Mutant("claims tracing and shows no span", "OBS-04", ShowsNothing),
        Mutant("logs the payload", "OBS-05", _logging(lambda payload: payload.decode("latin-1"))),
        Mutant("logs the payload in hex", "OBS-05", _logging(bytes.hex)),
        Mutant("logs the payload in base64", "OBS-05", _logging(lambda it: base64.b64encode(it).decode())),
        Mutant("logs without trace_id", "OBS-05", _forgetting),
        Mutant("shows a stale lag", "OBS-06", _watched(KeepsFirstLag)),
        Mutant("does not ask the broker for the lag", "OBS-06", AsksNobody),
        Mutant("records negative latency", "FLT-07", _watched(NegativeLatency)),
        Mutant("counts no refusals of signals", "OBS-07", _watched(ForgetsRefusals)),
        Mutant("logs another trace", "OBS-07", _watched(LogsAnotherTrace)),
        Mutant("adds up other sizes", "OBS-07", _watched(AddsUpOtherSizes)),
    ]


def _watched(kind: type[FileTelemetry]) -> Build:
    """A binding with another kind of telemetry."""

    class Watched(ReferenceBinding):
        def telemetry(self, directory: Path) -> Observer:
            return kind(self.contract, directory)

    return Watched


def _elsewhere(contract: Contract, envelope: Envelope) -> Envelope:
    """The envelope in a trace of its own."""
    other: dict[str, str | None] = {"trace_id": secrets.token_hex(16), contract.tracing.propagates: None}
    return setting(**other)(envelope)


def _renaming(transport: Transport, contract: Contract) -> ReferenceBinding:
    class Renames(ReferenceBinding):
        def telemetry(self, directory: Path) -> Observer:
            first, *rest = self.contract.metrics.values()
            other = replace(first, prometheus_name=f"my_{first.prometheus_name}")
            rules = {rule.name: rule for rule in (other, *rest)}
            return FileTelemetry(replace(self.contract, metrics=rules), directory)

    return Renames(transport, contract)


def _logging(form: Callable[[bytes], str]) -> Build:
    class LogsPayload(FileTelemetry):
        def _say(self, envelope: Envelope, result: str, group: str | None = None) -> None:
            super()._say(envelope, result, group)
            self._line(json.dumps({"message": f"got {form(envelope.payload)}"}))

    return _watched(LogsPayload)


def _forgetting(transport: Transport, contract: Contract) -> ReferenceBinding:
    class Forgets(ReferenceBinding):
        def telemetry(self, directory: Path) -> Observer:
            fields = tuple(name for name in self.contract.logs.fields if name != "trace_id")
            logs = replace(self.contract.logs, fields=fields)
            return FileTelemetry(replace(self.contract, logs=logs), directory)

    return Forgets(transport, contract)
