"""Whether metrics, log records and spans tell the truth about each message (section 11, D32 to D34)."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ampybus_contract.contract import Contract
from ampybus_contract.harness.checkers.metrics import samples
from ampybus_contract.harness.checkers.reading import Checker, History, is_dead_letter, only, undisturbed
from ampybus_contract.harness.history import Anomaly, Event, Operation, Outcome

SHOWN = (Operation.METRICS, Operation.LOG, Operation.SPAN)
WRITES = (Operation.PUBLISH, Operation.INJECT, Operation.DELIVER)


def where_watched(checker: Checker) -> Checker:
    """A checker of telemetry for histories in which the binding was to write some, and for no others.

    A binding that begins anew counts anew, and what is redriven is tried anew: those are left out.
    """

    def watched(history: History, contract: Contract) -> list[Anomaly]:
        asked = any(only(history, item) for item in SHOWN)
        plain = undisturbed(history) and not only(history, Operation.REDRIVE)
        return checker(history, contract) if asked and plain else []

    watched.__name__ = watched.__qualname__ = checker.__name__
    watched.__doc__ = checker.__doc__
    return watched


def log_untrue(history: History, contract: Contract) -> list[Anomaly]:
    """A log record about a message with another value than the message has, or of what did not happen.

    Sample: publish a, effect a once, and two records of a consumer with the result ok.
    """
    known = _known(history, contract)
    found: list[Anomaly] = []
    told: Counter[tuple[str, str, str]] = Counter()
    last: dict[tuple[str, str, str], Event] = {}
    for item in only(history, Operation.LOG):
        record = _object(item.said)
        message = known.get(str(record.get("message_id", "")).lower()) if record else None
        if record is None or message is None:
            continue
        wrong = [name for name in record if not message.may_say(name, record[name])]
        if wrong:
            found.append(Anomaly(f"A log record has another {', '.join(wrong)} than its message.", (item,)))
        side = str(record.get("consumer") or "")
        name = (str(record["message_id"]).lower(), side, str(record.get("result")))
        told[name] += 1
        last[name] = item
    bounds = _happened(history, contract)
    for name, count in told.items():
        low, high = bounds.get(name, (0, 0))
        if not low <= count <= high:
            said = f"{count} log records say {name[2]!r} of a message, it happened {high} times."
            found.append(Anomaly(said, (last[name],)))
    return found


def span_untrue(history: History, contract: Contract) -> list[Anomaly]:
    """A span about a message that names another topic, or a second span with one id."""
    known = _known(history, contract)
    forms = contract.tracing.attributes
    place = next(name for name, form in forms.items() if form == "{topic}")
    holder = next(name for name, form in forms.items() if form == "{message_id}")
    seen: dict[str, Event] = {}
    found: list[Anomaly] = []
    for item in only(history, Operation.SPAN):
        span = _object(item.said) or {}
        attributes = span.get("attributes")
        if not isinstance(attributes, dict):
            continue
        earlier = seen.setdefault(str(span.get("span_id")), item)
        if earlier is not item:
            found.append(Anomaly("Two spans have one id.", (earlier, item)))
        message = known.get(str(attributes.get(holder, "")).lower())
        if message is not None and not message.may_say("topic", attributes.get(place)):
            found.append(Anomaly(f"A span names the topic {attributes.get(place)!r}.", (item,)))
        elif message is not None and not message.may_say("message_id", attributes.get(holder)):
            found.append(Anomaly("A span writes the id of its message in another way.", (item,)))
    return found


def size_wrong(history: History, contract: Contract) -> list[Anomaly]:
    """A histogram of sizes whose sum is not that of the payloads which were published (D32)."""
    found: list[Anomaly] = []
    shown = tuple(only(history, Operation.METRICS)[:1])
    for rule in contract.metrics.values():
        if rule.measures != "size" or not shown:
            continue
        low: Counter[str] = Counter()
        high: Counter[str] = Counter()
        for item in only(history, Operation.PUBLISH):
            family = ".".join(item.topic.split(".")[:4])
            low[family] += len(item.envelope.payload) * (item.outcome is Outcome.OK)
            high[family] += len(item.envelope.payload) * (item.outcome in (Outcome.OK, Outcome.INFO))
        for sample in samples(history, rule):
            family = next(iter(sample.labels.values()), "")
            if sample.suffix == "_sum" and not low[family] <= sample.value <= high[family]:
                said = f"{rule.prometheus_name} of {family} is {sample.value:g}, {high[family]} is right."
                found.append(Anomaly(said, shown))
    return found


@dataclass(slots=True)
class _Message:
    """What may be said of one message: the texts that it has in the history."""

    texts: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def may_say(self, name: str, value: Any) -> bool:
        """Whether a field of a record is true; of what the message does not have, nothing is known."""
        return value is None or name not in self.texts or str(value) in self.texts[name]


def _known(history: History, contract: Contract) -> Mapping[str, _Message]:
    """The messages of a history by their ids; dead letters lend them their topic."""
    found: dict[str, _Message] = defaultdict(_Message)
    for item in history:
        if not item.id or item.operation not in (*WRITES, Operation.STORE):
            continue
        texts = found[item.id].texts
        texts["topic"].add(item.topic)
        for name in ("message_id", "trace_id", "producer"):
            texts[name].add(item.envelope.headers.get(name, ""))
        if item.operation is Operation.DELIVER:
            texts["consumer"].add(item.actor)
    for actor in {item.actor for item in only(history, Operation.SUBSCRIBE)}:
        for message in found.values():
            if "consumer" not in message.texts:
                message.texts["consumer"].add(actor)
    return found


def _happened(history: History, contract: Contract) -> dict[tuple[str, str, str], tuple[int, int]]:
    """How often each result of each message can have happened on each side: at least and at most."""
    done, again, buried = contract.logs.results
    low: Counter[tuple[str, str, str]] = Counter()
    high: Counter[tuple[str, str, str]] = Counter()
    for name, sure in _results(history, contract, (done, again, buried)):
        high[name] += 1
        low[name] += sure
    return {name: (low[name], high[name]) for name in high}


def _results(
    history: History, contract: Contract, words: tuple[str, str, str]
) -> Iterator[tuple[tuple[str, str, str], bool]]:
    done, again, buried = words
    groups = {item.actor for item in only(history, Operation.SUBSCRIBE)}
    for item in history:
        if item.operation is Operation.EFFECT:
            yield (item.id, item.actor, done), True
        elif item.operation is Operation.PUBLISH and item.outcome in (Outcome.OK, Outcome.INFO):
            yield (item.id, "", done), item.outcome is Outcome.OK
        elif item.operation is Operation.SETTLE:
            yield (item.id, item.actor, again), False
        elif item.operation is Operation.STORE and is_dead_letter(item.topic, contract):
            for group in groups:
                yield (item.id, group, buried), False


def _object(text: str) -> Mapping[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
