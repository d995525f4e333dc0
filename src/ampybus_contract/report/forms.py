"""The forms that a report takes as a file, by the file's suffix."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from ampybus_contract.errors import ReportError
from ampybus_contract.report.document import RunReport
from ampybus_contract.report.junit import junit


def _json(run: RunReport) -> str:
    return json.dumps(run.to_dict(), indent=1, ensure_ascii=False) + "\n"


def _html(run: RunReport) -> str:
    try:
        from ampybus_contract.report.html import page  # noqa: PLC0415  needs an extra
    except ModuleNotFoundError as error:
        fix = "pip install 'ampybus-contract[report]'"
        raise ReportError(f"REPORT expected jinja2 for HTML, it is not installed. Fix: {fix}") from error
    return page(run)


FORMS: dict[str, Callable[[RunReport], str]] = {".json": _json, ".html": _html, ".xml": junit}


def form_of(path: Path) -> Callable[[RunReport], str]:
    """The form for a file. Raises ReportError where its suffix names none, or its directory is missing."""
    form = FORMS.get(path.suffix)
    if form is None:
        raise ReportError(
            f"REPORT expected a file ending in {', '.join(FORMS)}, got {path}. "
            "Fix: .json for machines, .html for people, .xml for JUnit"
        )
    if not path.parent.is_dir():
        raise ReportError(f"REPORT expected a directory, got {path.parent}. Fix: make it first")
    return form


def write_report(run: RunReport, path: Path) -> None:
    """Write a report in the form that the suffix names. Raises ReportError where that cannot be done."""
    text = form_of(path)(run)
    try:
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        fix = "check the path and its rights"
        raise ReportError(f"REPORT expected to write {path}, got {error.strerror}. Fix: {fix}") from error
