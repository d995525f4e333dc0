"""Metrics against the contract and against what happened (section 11, D32)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from ampybus_contract.contract import Contract
from ampybus_contract.contract.chapters import MetricRule
from ampybus_contract.envelope.formula import fill
from ampybus_contract.harness.checkers.reading import History, is_dead_letter, only, subscribed
from ampybus_contract.harness.history import Anomaly, Event, Operation, Outcome

Labels = frozenset[tuple[str, str]]
LAG = "lag"
FAMILY = ("prefix", "env", "domain", "version")


@dataclass(frozen=True, slots=True)
class Sample:
    """One figure: the kind of its metric, what comes after the metric's name, labels and value."""

    kind: str
    suffix: str
    labels: dict[str, str]
    value: float


def metric_misnamed(history: History, contract: Contract) -> list[Anomaly]:
    """A metric of the contract that is not shown, is of another kind, or has other labels.

    A topic label holds a topic family that was used.
    """
    families = {".".join(item.topic.split(".")[:4]) for item in history if item.topic}
    found: list[Anomaly] = []
    for rule in contract.metrics.values():
        shown = list(samples(history, rule))
        if not shown:
            found.append(Anomaly(f"The metric {rule.prometheus_name} is not shown.", _evidence(history)))
            continue
        wrong = next((item for item in shown if _mislabelled(item, rule, contract, families)), None)
        if wrong is not None:
            said = (
                f"{rule.prometheus_name} is a {wrong.kind} with {wrong.labels}, it should be a {rule.kind} "
            )
            found.append(Anomaly(f"{said}with labels {', '.join(rule.labels)}.", _evidence(history)))
    return found


def counter_wrong(history: History, contract: Contract) -> list[Anomaly]:
    """A counter that does not say how often it happened; indefinite publishes may count or not.

    Sample: publish a ok, effect a once, and two records consumed.
    """
    found: list[Anomaly] = []
    for rule in contract.metrics.values():
        if rule.measures == LAG:
            continue
        bounds = _expected(history, rule, contract)
        values: dict[Labels, float] = defaultdict(float)
        for item in samples(history, rule):
            if item.suffix == ("_count" if rule.kind == "histogram" else ""):
                values[frozenset(item.labels.items())] += item.value
        for labels in {**bounds, **values}:
            low, high, events = bounds.get(labels, (0, 0, []))
            if not low <= values.get(labels, 0) <= high:
                said = f"{rule.prometheus_name} {dict(labels)} is {values.get(labels, 0):g}, {high} happened."
                found.append(Anomaly(said, (*_evidence(history), *events[:2])))
    return found


def reason_undeclared(history: History, contract: Contract) -> list[Anomaly]:
    """A reason label that is no declared code, or a metric with reasons that shows none."""
    found: list[Anomaly] = []
    for rule in contract.metrics.values():
        for name in rule.labels:
            if contract.labels[name].holds != "reason_code":
                continue
            codes = {item.labels.get(name, "") for item in samples(history, rule)}
            wrong = sorted(codes - {*contract.labels[name].values})
            if wrong:
                said = f"{rule.prometheus_name} has the reason {wrong[0]!r}, which is no declared code."
                found.append(Anomaly(said, _evidence(history)))
            elif not codes:
                said = f"{rule.prometheus_name} shows no reason."
                found.append(Anomaly(said, _evidence(history)))
    return found


def latency_negative(history: History, contract: Contract) -> list[Anomaly]:
    """A latency below zero, as a clock that is ahead gives it, or deliveries without a latency."""
    found: list[Anomaly] = []
    firsts = [item for item in only(history, Operation.DELIVER) if item.attempt == 1]
    for rule in contract.metrics.values():
        if rule.measures != "latency":
            continue
        shown = list(samples(history, rule))
        if any(item.suffix == "_sum" and item.value < 0 for item in shown):
            said = f"{rule.prometheus_name} has a negative sum: some latency was below zero."
            found.append(Anomaly(said, (*_evidence(history), *firsts[:1])))
        recorded = sum(item.value for item in shown if item.suffix == "_count")
        if recorded < len(firsts):
            said = f"{rule.prometheus_name} holds {recorded:g} latencies of {len(firsts)} deliveries."
            found.append(Anomaly(said, (*_evidence(history), *firsts[:1])))
    return found


def lag_stale(history: History, contract: Contract) -> list[Anomaly]:
    """A lag gauge that is not what the broker said right before the metrics were read, or not shown.

    Sample: backlog 3, and metrics with a lag of 1.
    """
    consumers = set(subscribed(history))
    asked: list[Event] = []
    found: list[Anomaly] = []
    for item in history:
        if item.operation is Operation.BACKLOG:
            asked.append(item)
        elif item.operation is Operation.METRICS and asked:
            truth = asked.pop()
            shown = list(_lags(item, consumers, contract))
            if not shown:
                found.append(Anomaly("No lag of the consumer is shown.", (truth, item)))
            elif sum(shown) != truth.count:
                said = f"The lag is {truth.count} records by the broker, the gauge shows {sum(shown):g}."
                found.append(Anomaly(said, (truth, item)))
    unseen = asked or (() if only(history, Operation.BACKLOG) else history[-1:])
    return [*found, *(Anomaly("No metrics are shown after the broker was asked.", (it,)) for it in unseen)]


def _lags(shown: Event, consumers: set[str], contract: Contract) -> Iterator[float]:
    """The lags of these consumers, one for each topic family."""
    for rule in contract.metrics.values():
        if rule.measures == LAG:
            for item in samples([shown], rule):
                if consumers & {*item.labels.values()}:
                    yield item.value


def _evidence(history: History) -> tuple[Event, ...]:
    return tuple(only(history, Operation.METRICS)[:1])


def samples(history: History, rule: MetricRule) -> Iterator[Sample]:
    """The figures of one metric, under its exact name."""
    for event in only(history, Operation.METRICS):
        try:
            families = list(text_string_to_metric_families(event.said))
        except ValueError:
            continue
        for family in families:
            for item in family.samples:
                suffix = item.name.removeprefix(rule.prometheus_name)
                exact = suffix in (("_count", "_sum", "_bucket") if rule.kind == "histogram" else ("",))
                if item.name.startswith(rule.prometheus_name) and exact:
                    labels = {name: value for name, value in item.labels.items() if name != "le"}
                    yield Sample(family.type, suffix, labels, item.value)


def _mislabelled(item: Sample, rule: MetricRule, contract: Contract, families: set[str]) -> bool:
    wide = [
        item.labels.get(name, "") not in families
        for name in rule.labels
        if contract.labels[name].holds == "family"
    ]
    return item.kind != rule.kind or set(item.labels) != {*rule.labels} or any(wide)


def _expected(
    history: History, rule: MetricRule, contract: Contract
) -> dict[Labels, tuple[int, int, list[Event]]]:
    """For each set of labels: at least, at most, and what counts."""
    found: dict[Labels, tuple[int, int, list[Event]]] = {}
    for item, topic, code in _counted(history, rule.measures, contract):
        tokens = dict(
            zip(("prefix", "env", "domain", "version"), [*topic.split("."), *[""] * 4], strict=False)
        )
        parts = {**tokens, "producer": item.envelope.headers.get("producer", ""), "consumer": item.actor}
        labels = frozenset(
            (name, code if (form := contract.labels[name].form) is None else fill(form, parts))
            for name in rule.labels
        )
        low, high, events = found.get(labels, (0, 0, []))
        sure = item.outcome is Outcome.OK
        found[labels] = (low + sure, high + 1, [*events, item])
    return found


def _counted(history: History, measures: str, contract: Contract) -> Iterator[tuple[Event, str, str]]:
    """What a counter of this kind counts: the event, the topic it is about, and the reason code."""
    added, codes = contract.dead_letter.headers, contract.dead_letter.codes
    for item in history:
        if measures in ("published", "size"):
            if item.operation is Operation.PUBLISH and item.outcome in (Outcome.OK, Outcome.INFO):
                yield item, item.topic, ""
        elif measures == "applied":
            if item.operation is Operation.EFFECT:
                yield item, item.topic, ""
        elif measures in ("latency", "retried"):
            if item.operation is Operation.DELIVER and (item.attempt == 1) == (measures == "latency"):
                yield item, item.topic, codes["retried"]
        elif item.operation is Operation.STORE and is_dead_letter(item.topic, contract):
            headers = item.envelope.headers
            code = headers.get(added["reason"], "").partition(":")[0]
            if measures == "dead_lettered" or code == codes["undecodable"]:
                yield item, headers.get(added["origin"], ""), code
