"""Faults of metrics and log records."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.generated.fault import MESSAGE, NOTHING, Fault, Strike
from ampybus_contract.harness.generated.groups import each_group

CHAPTER = "Observability"
Method = Callable[..., Any]


def faults(contract: Contract) -> Iterator[Fault]:
    """Every fault of metrics and log records."""
    yield from _metrics(contract)
    yield from _records(contract)


def _metrics(contract: Contract) -> Iterator[Fault]:
    for rule in contract.metrics.values():
        name, measures = rule.name, rule.measures
        for operator, subject, says, act in (
            ("drop", "sample", f"leaves {name} out", lambda method, *given: None),
            ("repeat", "sample", f"counts {name} twice", _twice),
        ):
            if not (operator == "repeat" and rule.kind == "gauge"):
                install = partial(_each, measures, act)
                yield Fault("metric", operator, f"{measures}.{subject}", says, CHAPTER, MESSAGE, install)
        for label in rule.labels:
            for operator, how, other in _other_labels(contract, label):
                said = f"writes {how} into {label} of {name}"
                install = partial(_labelled, measures, label, other)
                yield Fault("metric", operator, f"{measures}.{label}.{how}", said, CHAPTER, MESSAGE, install)
        if rule.kind != "counter":
            for how, factor in (("thousandfold", 1_000.0), ("halved", 0.5), ("zero", 0.0)):
                said = f"measures {name} {how}"
                install = partial(_scaled, measures, factor)
                yield Fault("metric", "alter", f"{measures}.{how}", said, CHAPTER, MESSAGE, install)
    for measures, wrong in (("published", "size"), ("applied", "published"), ("retried", "dead_lettered")):
        said = f"counts what is {measures} as {wrong}"
        install = partial(_instead, measures, wrong)
        yield Fault("metric", "swap", f"{measures}.{wrong}", said, CHAPTER, MESSAGE, install)
    for hook, measures, says in (
        ("retried", "applied", "counts a failed attempt as consumed"),
        ("buried", "applied", "counts what it buried as consumed"),
        ("buried", "retried", "counts what it buried as tried again"),
        ("applied", "retried", "counts what took effect as tried again"),
    ):
        install = partial(_counted_too, hook, measures)
        yield Fault("metric", "repeat", f"{measures}.of_{hook}", says, CHAPTER, MESSAGE, install)
    said = "counts publishes that were refused"
    yield Fault("metric", "ignore", "published.refusal", said, CHAPTER, MESSAGE, _refused_too)
    said = "counts duplicates as consumed"
    yield Fault("metric", "ignore", "applied.duplicate", said, CHAPTER, MESSAGE, _duplicates_too)
    said = "counts redriven messages as published"
    yield Fault("metric", "ignore", "published.redriven", said, CHAPTER, MESSAGE, _routed_too)
    said = "writes metrics when it stops the second time"
    yield Fault("metric", "drop", "file", said, CHAPTER, NOTHING, partial(_without_file, "metrics.prom"))


def _twice(method: Method, *given: Any) -> None:
    method(*given)
    method(*given)


def _other_labels(
    contract: Contract, label: str
) -> Iterator[tuple[str, str, Callable[[str, Envelope], str]]]:
    yield "drop", "nothing", lambda text, item: ""
    yield "alter", "capitals", lambda text, item: text.upper()
    if label == "topic":
        yield "alter", "the_topic", lambda text, item: item.topic
        yield "cut", "the_domain", lambda text, item: ".".join(text.split(".")[:3])
        first = contract.topic.environments[0]
        yield (
            "swap",
            "another_env",
            lambda text, item: ".".join([*text.split(".")[:1], first, *text.split(".")[2:]]),
        )
    if label == "producer":
        yield "swap", "the_source", lambda text, item: item.headers.get("source", "")
        yield "cut", "the_service", lambda text, item: text.split("@")[0]
    if label == "consumer":
        yield "swap", "the_producer", lambda text, item: item.headers.get("producer", "")
        yield "cut", "the_start", lambda text, item: text[:6]
    if label == "reason":
        yield "swap", "another_code", lambda text, item: next(it for it in contract.reasons if it != text)
        yield "alter", "its_own_words", lambda text, item: f"{text}: failed"


def on_telemetry(strike: Strike, binding: ReferenceBinding, patch: Callable[[Any], None]) -> None:
    """Patch what watches a binding, once the binding made it."""

    def made(method: Method, directory: Path) -> Any:
        watching = method(directory)
        patch(watching)
        return watching

    strike.around(binding, "telemetry", made)


def _each(measures: str, act: Method, strike: Strike, binding: ReferenceBinding) -> None:
    def patch(watching: Any) -> None:
        def each(method: Method, name: str, envelope: Envelope, *given: Any) -> None:
            if name == measures and strike(envelope):
                act(method, name, envelope, *given)
            else:
                method(name, envelope, *given)

        strike.around(watching, "_each", each)

    on_telemetry(strike, binding, patch)


def _scaled(measures: str, factor: float, strike: Strike, binding: ReferenceBinding) -> None:
    def scaled(method: Method, name: str, envelope: Envelope, act: Any, *given: Any) -> None:
        method(name, envelope, lambda metric: act(_Scaled(metric, factor)), *given)

    _each(measures, scaled, strike, binding)


class _Scaled:
    """A metric that is told other figures."""

    def __init__(self, metric: Any, factor: float) -> None:
        self.metric, self.factor = metric, factor

    def observe(self, value: float) -> None:
        """As of a histogram."""
        self.metric.observe(value * self.factor)

    def set(self, value: float) -> None:
        """As of a gauge."""
        self.metric.set(value * self.factor)


def _instead(measures: str, wrong: str, strike: Strike, binding: ReferenceBinding) -> None:
    def other(method: Method, name: str, envelope: Envelope, act: Any, *given: Any) -> None:
        method(wrong, envelope, _added, *given)

    _each(measures, other, strike, binding)


def _added(metric: Any) -> None:
    """One more, of whatever kind the metric is."""
    (metric.inc if hasattr(metric, "inc") else metric.observe)(1)


def _labelled(
    measures: str,
    label: str,
    other: Callable[[str, Envelope], str],
    strike: Strike,
    binding: ReferenceBinding,
) -> None:
    def patch(watching: Any) -> None:
        wrong: list[bool] = [False]

        def each(method: Method, name: str, envelope: Envelope, *given: Any) -> None:
            wrong[0] = name == measures and strike(envelope)
            method(name, envelope, *given)
            wrong[0] = False

        def text(method: Method, name: str, envelope: Envelope, *given: Any) -> str:
            right: str = method(name, envelope, *given)
            return other(right, envelope) if wrong[0] and name == label else right

        strike.around(watching, "_each", each)
        strike.around(watching, "_label", text)

    on_telemetry(strike, binding, patch)


def _counted_too(hook: str, measures: str, strike: Strike, binding: ReferenceBinding) -> None:
    def patch(watching: Any) -> None:
        def tell(method: Method, group: str, envelope: Envelope, *given: Any) -> None:
            method(group, envelope, *given)
            if strike(envelope):
                code = watching.contract.dead_letter.codes["retried"]
                watching._each(measures, envelope, _added, group, code)

        strike.around(watching, hook, tell)

    on_telemetry(strike, binding, patch)


def _refused_too(strike: Strike, binding: ReferenceBinding) -> None:
    async def publish(method: Method, envelope: Envelope) -> None:
        try:
            await method(envelope)
        except Exception:
            if not binding.observer.blind and strike(envelope):
                watching: Any = binding.observer
                watching._each("published", envelope, _added)
            raise

    strike.around(binding, "publish", publish)


def _duplicates_too(strike: Strike, binding: ReferenceBinding) -> None:
    def patch(group: Any) -> None:
        async def settle(method: Method, incoming: Any) -> None:
            names = [f"{group.name}\n{name}" for name in binding.identities(incoming.envelope)]
            seen = bool(names) and binding.effects.seen(names)
            await method(incoming)
            if seen and not binding.observer.blind and strike(incoming.envelope):
                watching: Any = binding.observer
                watching._each("applied", incoming.envelope, _added, group.name)

        strike.around(group, "settle", settle)

    each_group(binding, patch)


def _routed_too(strike: Strike, binding: ReferenceBinding) -> None:
    async def republish(method: Method, incoming: Any) -> None:
        await method(incoming)
        if not binding.observer.blind and strike(incoming.envelope):
            watching: Any = binding.observer
            watching._each("published", binding.restored(incoming.envelope), _added)

    strike.around(binding, "republish", republish)


def _without_file(name: str, strike: Strike, binding: ReferenceBinding) -> None:
    def patch(watching: Any) -> None:
        def close(method: Method) -> None:
            method()
            if strike():
                watching.file.with_name(name).unlink(missing_ok=True)

        strike.around(watching, "close", close)

    on_telemetry(strike, binding, patch)


Row = dict[str, Any]


def _records(contract: Contract) -> Iterator[Fault]:
    rule = contract.logs
    for field in (*rule.fields, *rule.one_of):
        for operator, how, change in _other_fields(field, rule.results):
            said = f"writes log records with {field} {how}"
            install = partial(_record, partial(_field, field, change))
            yield Fault("log", operator, f"{field}.{how}", said, CHAPTER, MESSAGE, install)
    for result in rule.results:
        said = f"writes no log record for the result {result!r}"
        yield Fault(
            "log",
            "drop",
            f"record.{result}",
            said,
            CHAPTER,
            MESSAGE,
            partial(_record, partial(_silent, result)),
        )
        said = f"writes the log record of the result {result!r} twice"
        yield Fault("log", "repeat", f"record.{result}", said, CHAPTER, MESSAGE, partial(_repeated, result))
        for other in rule.results:
            if other != result:
                said = f"calls the result {result!r} {other!r}"
                install = partial(_record, partial(_called, result, other))
                yield Fault("log", "swap", f"result.{result}.{other}", said, CHAPTER, MESSAGE, install)
    for form, text in (
        ("hex", lambda item: item.payload.hex()),
        ("raw", lambda item: item.payload.decode("latin-1")),
        ("headers", lambda item: str(dict(item.headers))),
    ):
        said = f"writes {form} of the message into log records"
        yield Fault("log", "ignore", f"secret.{form}", said, CHAPTER, MESSAGE, partial(_more, text))
    said = "writes log records that are no JSON"
    yield Fault("log", "alter", "record.form", said, CHAPTER, MESSAGE, _as_text)
    yield Fault("log", "cut", "record", "cuts log records at 64 signs", CHAPTER, MESSAGE, _cut)
    said = "loses the log record written last"
    yield Fault("log", "delay", "record", said, CHAPTER, MESSAGE, _one_late)


def _other_fields(
    field: str, results: tuple[str, ...]
) -> Iterator[tuple[str, str, Callable[[Any, Envelope], Any]]]:
    yield "drop", "missing", lambda value, item: ...
    yield "alter", "empty", lambda value, item: ""
    if field == "latency_ms":
        yield "alter", "negative", lambda value, item: -1.0
        yield "alter", "in_seconds", lambda value, item: value / 1_000
        yield "alter", "text", lambda value, item: str(value)
        return
    yield "alter", "in_capitals", lambda value, item: value.upper() if isinstance(value, str) else value
    if field == "topic":
        yield "cut", "as_family", lambda value, item: ".".join(value.split(".")[:4])
    elif field != "result":
        yield "swap", "of_source", lambda value, item: item.headers.get("source") if value else value
        yield "cut", "at_8_signs", lambda value, item: value[:8] if isinstance(value, str) else value


def _record(change: Callable[[Row, Envelope], Row | None], strike: Strike, binding: ReferenceBinding) -> None:
    _lines(lambda line, item: [_changed_line(change, line, item)], strike, binding)


def _changed_line(change: Callable[[Row, Envelope], Row | None], line: str, item: Envelope) -> str | None:
    row = change(json.loads(line), item)
    return None if row is None else json.dumps(row)


def _lines(
    change: Callable[[str, Envelope], list[str | None]], strike: Strike, binding: ReferenceBinding
) -> None:
    """Write other lines for the records with which the fault shows."""

    def patch(watching: Any) -> None:
        about: list[Envelope] = []
        right = watching.log

        def say(method: Method, envelope: Envelope, *given: Any) -> None:
            about[:] = [envelope] if strike(envelope) else []
            method(envelope, *given)
            about.clear()

        def write(line: str) -> None:
            for other in change(line, about[0]) if about else [line]:
                if other is not None:
                    right(other)

        strike.around(watching, "_say", say)
        watching.log = write

    on_telemetry(strike, binding, patch)


def _field(field: str, change: Callable[[Any, Envelope], Any], row: Row, item: Envelope) -> Row:
    if field not in row:
        return row
    value = change(row[field], item)
    return {name: old for name, old in row.items() if name != field} if value is ... else row | {field: value}


def _silent(result: str, row: Row, item: Envelope) -> Row | None:
    return None if row["result"] == result else row


def _called(result: str, other: str, row: Row, item: Envelope) -> Row:
    return row | {"result": other} if row["result"] == result else row


def _repeated(result: str, strike: Strike, binding: ReferenceBinding) -> None:
    def twice(line: str, item: Envelope) -> list[str | None]:
        return [line] * (2 if json.loads(line)["result"] == result else 1)

    _lines(twice, strike, binding)


def _more(text: Callable[[Envelope], str], strike: Strike, binding: ReferenceBinding) -> None:
    _record(lambda row, item: row | {"note": text(item)}, strike, binding)


def _as_text(strike: Strike, binding: ReferenceBinding) -> None:
    _lines(lambda line, item: [" ".join(map(str, json.loads(line).values()))], strike, binding)


def _cut(strike: Strike, binding: ReferenceBinding) -> None:
    _lines(lambda line, item: [line[:64]], strike, binding)


def _one_late(strike: Strike, binding: ReferenceBinding) -> None:
    held: list[str] = []

    def late(line: str, item: Envelope) -> list[str | None]:
        before = list(held)
        held[:] = [line]
        return [*before]

    _lines(late, strike, binding)
