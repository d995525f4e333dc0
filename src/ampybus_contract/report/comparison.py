"""Several runs beside each other, check by check."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ampybus_contract.harness.measurements import LATENCY
from ampybus_contract.report.document import Judged, RunReport
from ampybus_contract.report.plots import figures
from ampybus_contract.report.visible import visible

ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Row:
    """One check in every run: a verdict each, ``absent`` where a run does not have it, and the reasons.

    ``latencies`` are in words, empty where a run measured none or no time went by; they make no difference.
    """

    id: str
    chapter: str
    text: str
    verdicts: tuple[str, ...]
    reasons: tuple[str, ...]
    latencies: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether the runs do not all agree."""
        return len(set(self.verdicts)) > 1


def compare(runs: Sequence[RunReport]) -> list[Row]:
    """Every check that any of the runs has, in the order in which they come up."""
    found = {item.id: item for run in reversed(runs) for item in run.checks}
    order = dict.fromkeys(item.id for run in runs for item in run.checks)
    rows: list[Row] = []
    for name in order:
        each = [next((item for item in run.checks if item.id == name), None) for run in runs]
        rows.append(
            Row(
                name,
                found[name].chapter,
                found[name].text,
                tuple(str(item.verdict) if item else ABSENT for item in each),
                tuple(item.reason if item else "" for item in each),
                tuple(_latency(item) for item in each),
            )
        )
    return rows


def _latency(item: Judged | None) -> str:
    series = item and item.series(LATENCY)
    return figures(series) if series and series["most"] else ""


def render_comparison(runs: Sequence[RunReport], measured: bool = False) -> Iterator[str]:
    """The comparison as lines of text; checks on which the runs differ have a mark in front.

    ``measured`` adds a line for the latency that each run measured.
    """
    yield from map(visible, _lines(runs, measured))


def _lines(runs: Sequence[RunReport], measured: bool) -> Iterator[str]:
    for number, run in enumerate(runs, 1):
        heading = run.heading
        yield f"[{number}] {heading.binding} on {heading.broker_name}, seed {heading.seed}, {run.started_at}"
    digests = {run.spec_digest for run in runs}
    if len(digests) > 1:
        yield "These runs were judged by different specs."
    yield ""
    rows = compare(runs)
    width = max((len(row.id) for row in rows), default=0)
    for row in rows:
        mark = "*" if row.differs else " "
        cells = "".join(f"  {verdict:<12}" for verdict in row.verdicts)
        yield f"{mark} {row.id:<{width}}{cells}  {row.text}"
        for number, words in enumerate(row.latencies, 1):
            if measured and words:
                yield f"  {'':<{width}}  [{number}] {LATENCY} {words}"
    yield ""
    yield f"{sum(row.differs for row in rows)} of {len(rows)} checks differ"
