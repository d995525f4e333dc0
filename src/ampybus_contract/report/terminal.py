"""The report that a person reads after a run."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ampybus_contract.harness.verdicts import NOT_RUN, Verdict
from ampybus_contract.report.document import Judged, RunReport
from ampybus_contract.report.findings import header_rows
from ampybus_contract.report.plots import figures
from ampybus_contract.report.visible import visible

SHOWN_ANOMALIES = 1
COMMAND, DEEPER = "pytest --ampybus-conformance", 4
NAME, CELL, NARROW_CELL = 10, 12, 5
ALL = "all chapters"
ALWAYS = (Verdict.PASS, Verdict.FAIL, Verdict.NOT_CLAIMED, Verdict.INCONCLUSIVE)
EXPLAINED = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.DEVIATION)


def render(run: RunReport) -> Iterator[str]:
    """The lines of the report: what was judged, a table by chapter, then each finding.

    Control characters that a binding put into them are shown, and do nothing to the terminal.
    """
    yield from map(visible, _lines(run))


def folded(lines: Iterable[str], columns: int) -> Iterator[str]:
    """The lines for a terminal of so many columns: broken between words; commands stay whole."""
    for text in lines:
        for line in text.split("\n"):
            if len(line) <= columns or COMMAND in line:
                yield line
                continue
            deeper = " " * (len(line) - len(line.lstrip()) + DEEPER)
            yield from textwrap.wrap(
                line,
                columns,
                subsequent_indent=deeper,
                break_on_hyphens=False,
                break_long_words=False,
            )


def finding(judged: Judged) -> Iterator[str]:
    """The lines on one check: what it asks for, what was seen, and the command that judges it again."""
    yield from map(visible, _finding(judged))


def _lines(run: RunReport) -> Iterator[str]:
    heading = run.heading
    settings = ", ".join(f"{name} {value}" for name, value in heading.settings.items())
    yield ""
    yield f"ampy-bus contract {run.contract_version}: binding {heading.binding}"
    yield f"on {heading.broker_name} ({settings}), seed {heading.seed}, effort {heading.effort}"
    yield ""
    yield from _table(run)
    yield from _profiles(run)
    for judged in run.checks:
        if judged.verdict in EXPLAINED and judged.reason != NOT_RUN:
            yield ""
            yield from _finding(judged)
    left = [item.id for item in run.checks if item.reason == NOT_RUN]
    if left:
        yield ""
        yield f"INCONCLUSIVE, did not run: {' '.join(left)}"


def measured(run: RunReport) -> Iterator[str]:
    """What each check measured, a line a series."""
    yield ""
    for item in run.checks:
        for series in item.measured:
            yield f"{item.id}  {series['name']:<{NAME}}  {series['count']:>6} values: {figures(series)}"


def _table(run: RunReport) -> Iterator[str]:
    counts = Counter((item.chapter, item.verdict) for item in run.checks)
    columns = _columns(run)
    least = CELL if len(columns) <= len(ALWAYS) else NARROW_CELL
    cells = {name: max(len(name), least) for name in columns}
    width = max(len(name) for name in (*run.chapters, ALL))
    yield f"{'chapter':<{width}}" + "".join(f"  {name:>{cells[name]}}" for name in columns)
    for chapter in run.chapters:
        yield f"{chapter:<{width}}" + "".join(f"  {counts[chapter, name]:>{cells[name]}}" for name in columns)
    yield f"{ALL:<{width}}" + "".join(f"  {run.counts[name]:>{cells[name]}}" for name in columns)
    yield summed(run)


def _profiles(run: RunReport) -> Iterator[str]:
    if run.profiles:
        yield "profiles: " + ", ".join(f"{name} {word}" for name, word in run.profiles.items())


def _columns(run: RunReport) -> list[Verdict]:
    return [name for name in Verdict if name in ALWAYS or run.counts[name]]


def summed(run: RunReport) -> str:
    """The sum of the verdicts and what it must equal."""
    totals = [run.counts[name] for name in _columns(run)]
    words = "" if run.reconciles else ": THE COUNTS DO NOT ADD UP"
    more = f"; {run.planned} more in the spec have none yet" if run.planned else ""
    return (
        f"{' + '.join(map(str, totals))} = {sum(totals)} of {run.expected} checks with a suite{more}{words}"
    )


def _finding(judged: Judged) -> Iterator[str]:
    yield f"{judged.verdict.upper()} {judged.id}: {judged.text}"
    yield f"  {judged.reason}"
    for item in judged.requirements:
        yield f"  contract: {item.id} {item.level} ({item.clause}) {item.text}"
    for anomaly in judged.evidence[:SHOWN_ANOMALIES]:
        yield "  what happened:"
        for event in anomaly["events"]:
            yield _event(event)
        for row in header_rows(anomaly["events"]):
            if row.differs:
                yield f"      {row.name}: {_quoted(row.before)} -> {_quoted(row.after)}"
    left = len(judged.evidence) - SHOWN_ANOMALIES
    if left > 0:
        yield f"  and {left} more like it"
    yield f"  run just this again: {judged.again}"


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


def _quoted(value: str | None) -> str:
    return repr("(absent)" if value is None else value)
