"""The report that a person reads after a run."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ampybus_contract.brokers.location import without_credentials
from ampybus_contract.contract import Contract
from ampybus_contract.harness.verdicts import Result, Verdict

SHOWN_ANOMALIES = 1
COLUMNS = (Verdict.PASS, Verdict.FAIL, Verdict.NOT_CLAIMED, Verdict.INCONCLUSIVE, Verdict.DESELECTED)


@dataclass(frozen=True, slots=True)
class Heading:
    """What was judged, where, and by which seed."""

    binding: str
    broker: str | None
    broker_name: str
    settings: Mapping[str, str]
    seed: int


def render(contract: Contract, heading: Heading, results: Sequence[Result]) -> Iterator[str]:
    """The lines of the report: what was judged, a table by chapter, then each finding."""
    settings = ", ".join(f"{name} {value}" for name, value in heading.settings.items())
    yield ""
    yield f"ampy-bus contract {contract.version}: binding {heading.binding}"
    yield f"on {heading.broker_name} ({settings}), seed {heading.seed}"
    yield ""
    yield from _table(contract, results)
    by_check = {result.check: result for result in results}
    for check in contract.checks:
        result = by_check.get(check)
        if result is not None and result.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE):
            yield from _finding(contract, heading, result)


def _table(contract: Contract, results: Sequence[Result]) -> Iterator[str]:
    counts = Counter((contract.checks[item.check].chapter, item.verdict) for item in results)
    chapters = list(dict.fromkeys(rule.chapter for rule in contract.checks.values()))
    columns = [
        name for name in COLUMNS if name is not Verdict.DESELECTED or any(v is name for _, v in counts)
    ]
    width = max(len(name) for name in (*chapters, "all chapters"))
    yield f"{'chapter':<{width}}" + "".join(f"  {name:>12}" for name in columns)
    for chapter in chapters:
        yield f"{chapter:<{width}}" + "".join(f"  {counts[chapter, name]:>12}" for name in columns)
    totals = [sum(counts[chapter, name] for chapter in chapters) for name in columns]
    yield f"{'all chapters':<{width}}" + "".join(f"  {total:>12}" for total in totals)
    words = "" if sum(totals) == len(contract.checks) else ": THE COUNTS DO NOT ADD UP"
    sums = " + ".join(map(str, totals))
    yield f"{sums} = {sum(totals)} of {len(contract.checks)} checks in the spec{words}"


def _finding(contract: Contract, heading: Heading, result: Result) -> Iterator[str]:
    rule = contract.checks[result.check]
    yield ""
    yield f"{result.verdict.upper()} {result.check}: {rule.text}"
    yield f"  {result.reason}"
    for name in rule.requirements:
        requirement = contract.requirements[name]
        yield f"  contract: {name} {requirement.level} ({requirement.clause}) {requirement.text}"
    for anomaly in result.evidence[:SHOWN_ANOMALIES]:
        yield "  what happened:"
        for event in anomaly["events"]:
            yield _event(event)
        yield from _differences(anomaly["events"])
    left = len(result.evidence) - SHOWN_ANOMALIES
    if left > 0:
        yield f"  and {left} more like it"
    yield f"  run just this again: {_again(heading, result.check)}"


def _event(event: Mapping[str, Any]) -> str:
    headers = event["headers"]
    seconds = event["at"] / 1e9
    what = f"{event['operation']} {event['outcome']}"
    attempt = f" attempt {event['attempt']}" if event["attempt"] > 1 else ""
    identity = headers.get("message_id", "no message_id")[-12:]
    error = f" [{event['error'][:160]}]" if event["error"] else ""
    return (
        f"    {seconds:8.3f} s  {event['actor']:<16} {what:<14} "
        f"{event['topic']} key={headers.get('partition_key', '-')} id=…{identity} "
        f"{event['payload_bytes']} bytes{attempt}{error}"
    )


def _differences(events: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The headers in which the last event of a pair about one message differs from the first."""
    if len(events) < 2 or events[0]["payload_bytes"] != events[-1]["payload_bytes"]:
        return
    before, after = events[0]["headers"], events[-1]["headers"]
    if before.get("message_id") != after.get("message_id") and events[0]["topic"] == events[-1]["topic"]:
        return
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield f"      {name}: {before.get(name, '(absent)')!r} -> {after.get(name, '(absent)')!r}"


def _again(heading: Heading, check: str) -> str:
    words = ["pytest", "--ampybus-conformance", "--ampybus-binding", heading.binding]
    if heading.broker:
        words += ["--ampybus-broker", without_credentials(heading.broker)]
    words += ["--ampybus-seed", str(heading.seed), "-k", check]
    return shlex.join(words)
