"""The report as one HTML file that needs nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ampybus_contract.harness.verdicts import Verdict
from ampybus_contract.report.comparison import Row, compare
from ampybus_contract.report.document import RunReport
from ampybus_contract.report.picture import picture
from ampybus_contract.report.plots import figures, plots
from ampybus_contract.report.terminal import header_changes, summed

PAGES = Path(__file__).with_name("page")


def page(run: RunReport) -> str:
    """The page of one run."""
    return _render(
        "run.html", run=run, verdicts=[item for item in Verdict if run.counts[item]], summed=summed(run)
    )


def comparison_page(runs: Sequence[RunReport]) -> str:
    """Several runs beside each other."""
    rows: list[Row] = compare(runs)
    return _render("comparison.html", runs=runs, rows=rows)


def _render(template: str, **values: object) -> str:
    environment = Environment(
        loader=FileSystemLoader(PAGES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        figures=figures,
        picture=picture,
        plots=plots,
        header_changes=header_changes,
        style=(PAGES / "page.css").read_text(encoding="utf-8"),
        script=(PAGES / "page.js").read_text(encoding="utf-8"),
    )
    return environment.get_template(template).render(**values)
