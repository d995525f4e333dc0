"""The pictures of the page on reports: ``python -m ampybus_contract.report.screenshots [DIRECTORY]``.

For the development of this package: playwright is in no extra but ``dev``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from playwright.sync_api import Browser, sync_playwright

from ampybus_contract.exit_codes import CONFORMANT, USAGE
from ampybus_contract.report.browser import ARGUMENTS, chromium
from ampybus_contract.report.document import RunReport
from ampybus_contract.report.html import comparison_page, page
from ampybus_contract.report.sample import sample_runs

PAGES = Path(__file__).parents[1] / "export" / "pages"


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture: what of which page, its size in pixels, and what is done before it is taken."""

    name: str
    page: Literal["run", "comparison"]
    width: int
    height: int
    scheme: Literal["light", "dark"]
    part: str = ""
    before: str = ""


DIFFERENCES = "document.querySelector('#differing').click()"
SHOTS = (
    Shot("report.png", "run", 1000, 730, "light"),
    Shot("report-finding.png", "run", 1000, 860, "dark", "ORD-03"),
    Shot("report-narrow.png", "run", 400, 1000, "light", "ENV-01"),
    Shot("report-comparison.png", "comparison", 1000, 760, "light", before=DIFFERENCES),
)


def take(runs: Sequence[RunReport], directory: Path, browser: Browser) -> list[Path]:
    """Write the pictures of runs into a directory."""
    taken = []
    with TemporaryDirectory() as scratch:
        pages = {"run": page(runs[0]), "comparison": comparison_page(runs)}
        for name, text in pages.items():
            Path(scratch, f"{name}.html").write_text(text, encoding="utf-8", errors="backslashreplace")
        for shot in SHOTS:
            context = browser.new_context(
                viewport={"width": shot.width, "height": shot.height}, color_scheme=shot.scheme, offline=True
            )
            shown = context.new_page()
            shown.goto(Path(scratch, f"{shot.page}.html").as_uri() + (shot.part and f"#{shot.part}"))
            if shot.before:
                shown.evaluate(shot.before)
            shown.screenshot(path=directory / shot.name)
            taken.append(directory / shot.name)
            context.close()
    return taken


def main(words: Sequence[str]) -> int:
    """Judge the sample bindings, and write the pictures beside the page or into the directory named."""
    path = chromium()
    if path is None:
        print("REPORT expected Chromium, none is installed. Fix: apt-get install chromium", file=sys.stderr)
        return USAGE
    runs = sample_runs()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        taken = take(runs, Path(words[0]) if words else PAGES, browser)
        browser.close()
    for picture in taken:
        print(f"{picture.name}: {picture.stat().st_size // 1000} kB")
    return CONFORMANT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
