"""The report as one HTML file that needs nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ampybus_contract.harness.verdicts import Verdict
from ampybus_contract.report.comparison import Row, compare
from ampybus_contract.report.document import RunReport
from ampybus_contract.report.findings import header_rows, shown
from ampybus_contract.report.picture import picture, times
from ampybus_contract.report.plots import figures, plots
from ampybus_contract.report.statement import verdict
from ampybus_contract.report.terminal import summed
from ampybus_contract.report.visible import visible

PAGES = Path(__file__).with_name("page")


def page(run: RunReport) -> str:
    """The page of one run."""
    there = [item for item in Verdict if run.counts[item]]
    return _render("run.html", run=run, verdicts=there, summed=summed(run), word=verdict(run))


def comparison_page(runs: Sequence[RunReport]) -> str:
    """Several runs beside each other."""
    rows: list[Row] = compare(runs)
    return _render("comparison.html", runs=runs, rows=rows, verdicts=list(Verdict))


def _render(template: str, **values: object) -> str:
    environment = Environment(
        loader=FileSystemLoader(PAGES),
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        figures=figures,
        picture=picture,
        plots=plots,
        times=times,
        header_rows=header_rows,
        shown=shown,
        style=(PAGES / "page.css").read_text(encoding="utf-8"),
        script=(PAGES / "page.js").read_text(encoding="utf-8"),
    )
    return environment.get_template(template).render(**values)


def _visible(value: object) -> object:
    """Text as ``visible`` has it; what is markup already, stays as it is."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
