"""What a person sees of a report in a browser: here in headless Chromium, with no network."""

from __future__ import annotations

import dataclasses
import re
import shutil
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from ampybus_contract.contract import data_directory, default_contract
from ampybus_contract.contract.digest import spec_digest
from ampybus_contract.harness.verdicts import Result, Verdict
from ampybus_contract.report.browser import ARGUMENTS, chromium
from ampybus_contract.report.document import Heading, RunReport, run_report
from ampybus_contract.report.html import comparison_page, page
from ampybus_contract.report.sample import sample_runs
from ampybus_contract.report.screenshots import PAGES, SHOTS, main, take

Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
ID = "018f5e2f-9b1c-76aa-8f7a-3b1d8f3ea0c2"
HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
UNSEEN = "\u202eturned\u202c\x1b[31m"
LONG = "wide" * 900
BINS, POINTS = [[1_000_000, 3], [2_000_000, 1]], [[0, 900_000], [9_000_000, 1_500_000]]
LATENCY = {
    "name": "latency",
    "unit": "ns",
    "count": 4,
    **dict.fromkeys(("p50", "p90", "p99", "most"), 1_500_000),
    "bins": BINS,
    "points": POINTS,
}
LAG = LATENCY | {"name": "lag", "unit": "messages", "most": 7, "points": [[0, 7], [9_000_000, 1]]}
CONTRASTS = """() => {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const channels = (color) => {
    context.clearRect(0, 0, 1, 1); context.fillStyle = color; context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const light = (color) => {
    const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = channels(color).map((value) => linear(value / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (channels(color)[3] === 255) return color;
    }
    return "white";
  };
  const poor = new Set();
  for (const element of document.querySelectorAll("main *")) {
    if (![...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
    if (!element.checkVisibility() || element.tagName === "title") continue;
    const style = getComputedStyle(element);
    const color = element instanceof SVGElement ? style.fill : style.color;
    const [high, low] = [light(color), light(behind(element))].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) poor.add(`${element.tagName}.${element.className}: ${ratio.toFixed(2)}`);
  }
  return [...poor];
}"""


def event(operation: str, actor: str, **headers: str) -> dict[str, Any]:
    return {
        "at": 1_500_000,
        "actor": actor,
        "operation": operation,
        "outcome": "ok",
        "topic": "ampy.dev.bars.v1.XNAS.AA",
        "headers": {"message_id": ID, **headers},
        "payload_bytes": 14,
        "attempt": 1,
        "error": "",
    }


def evidence(count: int = 1, value: str = "b") -> tuple[dict[str, Any], ...]:
    events = [event("publish", "producer", producer="a"), event("deliver", "consumer", producer=value)]
    return ({"sentence": f"Headers changed: {value[:60]}", "events": events},) * count


def run(changes: dict[str, Result], binding: str = "my_bus:Bus") -> RunReport:
    contract = default_contract()
    results = {name: Result(name, Verdict.PASS) for name in contract.judged} | changes
    heading = Heading(binding, None, "NATS", {"sync": "always"}, 7)
    digest = spec_digest(data_directory("spec"))
    return run_report(contract, digest, "2026-01-02T03:04:05Z", heading, list(results.values()))


@pytest.fixture
def failing() -> RunReport:
    return run(
        {
            "ENV-01": Result("ENV-01", Verdict.FAIL, "Headers changed: b", evidence(8)),
            "ENV-02": Result("ENV-02", Verdict.INCONCLUSIVE, "nothing was seen"),
            "ENV-03": Result("ENV-03", Verdict.PASS, measured=(LATENCY, LAG)),
            "DLQ-03": Result("DLQ-03", Verdict.NOT_CLAIMED, "no DLQ"),
            "DLQ-04": Result("DLQ-04", Verdict.DEVIATION, "known until spring", evidence()),
        }
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = chromium()
    if path is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


@dataclasses.dataclass
class Reader:
    """A page that shows reports, and what went wrong or was asked for over the network while it did."""

    page: Page
    directory: Path
    trouble: list[str] = dataclasses.field(default_factory=list)

    def open(self, text: str, part: str = "") -> Page:
        path = self.directory / "report.html"
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
        self.page.goto(path.as_uri() + part)
        return self.page

    @property
    def checks(self) -> list[str]:
        """The checks in sight."""
        return [row.get_attribute("id") or "" for row in self.page.locator("tr.check:visible").all()]

    def width(self) -> int:
        found: int = self.page.evaluate("document.documentElement.scrollWidth")
        return found

    def focus(self) -> str:
        """What has the focus, as its name, id or text."""
        said = (
            "document.activeElement.name || document.activeElement.id || document.activeElement.textContent"
        )
        found: str = self.page.evaluate(said)
        return found.strip()

    def tab_to(self, wanted: str) -> None:
        """Press Tab until what is named so has the focus."""
        for _ in range(60):
            if self.focus() == wanted:
                return
            self.page.keyboard.press("Tab")
        pytest.fail(f"Tab does not get to {wanted!r}")


@pytest.fixture
def reader(browser: Browser, tmp_path: Path) -> Iterator[Reader]:
    context = browser.new_context(viewport={"width": 400, "height": 900}, offline=True)
    reader = Reader(context.new_page(), tmp_path)
    asked: list[str] = []
    reader.page.on("request", lambda request: asked.append(request.url))
    reader.page.on("console", lambda message: reader.trouble.append(message.text))
    reader.page.on("pageerror", lambda error: reader.trouble.append(str(error)))
    yield reader
    assert reader.trouble == []
    assert {url.partition("#")[0] for url in asked} == {(tmp_path / "report.html").as_uri()}
    context.close()


@pytest.mark.browser
def test_a_page_asks_for_nothing_but_itself(failing: RunReport, reader: Reader) -> None:
    for text in (page(failing), comparison_page([failing, run({})])):
        reader.open(text)
        assert reader.page.evaluate("performance.getEntriesByType('resource').length") == 0
        assert len(reader.checks) == len(failing.checks)


@pytest.mark.browser
def test_verdicts_are_filtered_by_keyboard_alone(failing: RunReport, reader: Reader) -> None:
    reader.open(page(failing)).keyboard.press("/")
    assert reader.focus() == "search"
    reader.page.keyboard.press("Tab")
    reader.page.keyboard.press("Space")
    assert reader.checks == ["ENV-01", "ENV-02", "DLQ-03", "DLQ-04"]
    shown = reader.page.locator("#shown")
    assert shown.inner_text() == f"4 of {len(failing.checks)} checks shown"
    reader.tab_to("Reset")
    reader.page.keyboard.press("Enter")
    expect(shown).to_have_text(f"{len(failing.checks)} of {len(failing.checks)} checks shown")


@pytest.mark.browser
def test_text_chapter_and_profile_are_filtered_by_keyboard_alone(failing: RunReport, reader: Reader) -> None:
    reader.open(page(failing)).keyboard.press("/")
    reader.page.keyboard.type("HDR-01")
    assert "ENV-01" in reader.checks
    assert len(reader.checks) < 5
    reader.page.keyboard.press("Escape")
    assert len(reader.checks) == len(failing.checks)
    for name, word, wanted in (
        ("chapter", "Ret", {item.id for item in failing.checks if item.chapter == "Retry and DLQ"}),
        ("profile", "slo", set[str]()),
    ):
        reader.tab_to(name)
        reader.page.keyboard.type(word)
        assert set(reader.checks) == wanted
    assert not reader.page.locator("tr.chapter:visible").count()


@pytest.mark.browser
def test_findings_open_and_close_by_keyboard(failing: RunReport, reader: Reader) -> None:
    reader.open(page(failing))
    first = reader.page.locator("#ENV-01 .finding").first
    assert first.get_attribute("open") is not None
    reader.page.locator("#ENV-01 summary").first.focus()
    reader.page.keyboard.press("Enter")
    assert first.get_attribute("open") is None
    reader.tab_to("7 more like it")
    reader.page.keyboard.press("Space")
    assert reader.page.locator("#ENV-01 .more > .finding:visible").count() == 4
    assert "The JSON report has 3 more." in reader.page.locator("#ENV-01 .more").inner_text()
    for word, count in (("Open all", 6), ("Close all", 0)):
        reader.page.get_by_role("button", name=word).focus()
        reader.page.keyboard.press("Enter")
        assert reader.page.locator(".finding[open]").count() == count


@pytest.mark.browser
def test_the_list_of_findings_leads_to_each_even_if_a_filter_hides_it(
    failing: RunReport, reader: Reader
) -> None:
    reader.open(page(failing)).get_by_label("known deviation", exact=True).uncheck()
    assert "DLQ-04" not in reader.checks
    links = reader.page.get_by_role("navigation", name="Findings").get_by_role("link")
    assert links.all_inner_texts() == ["ENV-01", "ENV-02", "DLQ-04"]
    links.last.focus()
    reader.page.keyboard.press("Enter")
    expect(reader.page.locator("#DLQ-04")).to_be_in_viewport()


@pytest.mark.browser
def test_each_part_that_takes_the_focus_shows_it(failing: RunReport, reader: Reader) -> None:
    reader.open(page(failing)).keyboard.press("Tab")
    ringed = "getComputedStyle(document.activeElement).outlineStyle !== 'none'"
    kinds = set()
    for _ in range(30):
        kinds.add(reader.page.evaluate("document.activeElement.tagName"))
        assert reader.page.evaluate(ringed), reader.focus()
        reader.page.keyboard.press("Tab")
    assert kinds >= {"A", "INPUT", "SELECT", "BUTTON", "SUMMARY", "DIV"}


@pytest.mark.browser
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", [400, 1280])
def test_text_stands_out_from_what_is_behind_it(
    failing: RunReport, reader: Reader, scheme: Scheme, width: int
) -> None:
    reader.page.set_viewport_size({"width": width, "height": 900})
    reader.page.emulate_media(color_scheme=scheme)
    for text in (page(failing), comparison_page([failing, run({})])):
        reader.open(text)
        reader.page.evaluate("document.querySelectorAll('details').forEach((part) => part.open = true)")
        assert reader.page.evaluate(CONTRASTS) == []
        assert reader.width() <= width


@pytest.mark.browser
def test_the_two_schemes_differ_and_paper_is_always_light(failing: RunReport, reader: Reader) -> None:
    reader.open(page(failing))
    seen = []
    medias: tuple[tuple[Scheme, Literal["screen", "print"]], ...] = (
        ("light", "screen"),
        ("dark", "screen"),
        ("dark", "print"),
    )
    for scheme, media in medias:
        reader.page.emulate_media(color_scheme=scheme, media=media)
        seen.append(reader.page.evaluate("getComputedStyle(document.body).color"))
    light, dark, printed = seen
    assert light != dark
    assert printed == light
    assert not reader.page.locator("form.filters").is_visible()
    assert reader.page.locator("#ENV-01 .again code").is_visible()


@pytest.mark.browser
def test_the_picture_says_in_words_what_it_shows(failing: RunReport, reader: Reader) -> None:
    reader.open(page(failing))
    drawn = reader.page.get_by_role("img", name="Picture of the history: Headers changed: b")
    assert drawn.first.is_visible()
    words = reader.page.locator(f"[id='{drawn.first.get_attribute('aria-describedby')}'] li")
    assert [text.split(",")[0] for text in words.all_inner_texts()] == [
        "0.002 s producer publish ok",
        "0.002 s consumer deliver ok",
    ]
    assert "what the finding is about" in words.last.inner_text()
    assert drawn.first.locator(".step.marked rect").count() == 1
    assert drawn.first.bounding_box()["width"] <= 400  # type: ignore[index]


@pytest.mark.browser
def test_headers_stand_side_by_side_with_the_difference_marked(failing: RunReport, reader: Reader) -> None:
    reader.open(page(failing))
    table = reader.page.locator("#ENV-01 .headers").first
    assert table.locator("thead th").all_inner_texts()[1:] == [
        "first: producer, publish",
        "last: consumer, deliver",
    ]
    assert table.locator("mark").all_inner_texts() == ["a", "b"]
    assert table.locator("tr.changed").inner_text().split() == ["producer", "differs", "a", "b"]
    left, right = (cell.bounding_box() for cell in table.locator("tr.changed td").all())
    assert left is not None
    assert right is not None
    assert left["y"] == right["y"]
    assert left["x"] < right["x"]


@pytest.mark.browser
def test_the_command_is_copied_or_else_selected(failing: RunReport, reader: Reader) -> None:
    reader.open(page(failing))
    button = reader.page.get_by_role("button", name="Copy the command of ENV-01")
    button.focus()
    reader.page.keyboard.press("Enter")
    expect(button).not_to_have_text("Copy")
    if button.inner_text() == "Selected":
        assert reader.page.evaluate("getSelection().toString()").strip() == failing.checks[0].again


@pytest.mark.browser
def test_plots_open_by_keyboard_and_fit_400_pixels(failing: RunReport, reader: Reader) -> None:
    for scheme in SCHEMES:
        reader.page.emulate_media(color_scheme=scheme)
        reader.open(page(failing))
        drawn = reader.page.locator("#ENV-03 svg.plot")
        assert not drawn.first.is_visible()
        reader.page.locator("#ENV-03 summary").focus()
        reader.page.keyboard.press("Enter")
        assert [plot.get_attribute("aria-label") for plot in drawn.all() if plot.is_visible()] == [
            "latency, how many messages",
            "latency over time",
            "lag over time",
        ]
        assert reader.width() <= 400
        fill = "getComputedStyle(document.querySelector('.bar')).fill !== getComputedStyle(document.body)"
        assert reader.page.evaluate(f"{fill}.backgroundColor")


@pytest.mark.browser
def test_hostile_text_is_only_text_and_does_not_widen_the_page(reader: Reader) -> None:
    value = HOSTILE + UNSEEN + LONG
    result = Result("ENV-01", Verdict.FAIL, value, evidence(2, value))
    bad = run({"ENV-01": result, "ENV-02": Result("ENV-02", Verdict.INCONCLUSIVE, value)}, value)
    for text in (page(bad), comparison_page([bad, run({})])):
        reader.open(text)
        reader.page.evaluate("document.querySelectorAll('details').forEach((part) => part.open = true)")
        assert reader.page.title() != "taken"
        assert reader.page.locator("img, main script").count() == 0
        assert reader.width() <= 400
        body = reader.page.locator("main").inner_text()
        assert "\\u202eturned\\u202c\\x1b[31m" in body
        assert not set(body) & set(UNSEEN) - set("turned[31m")


@pytest.mark.browser
def test_a_report_in_which_everything_fails_opens_at_once(reader: Reader) -> None:
    names = default_contract().judged
    text = page(run({name: Result(name, Verdict.FAIL, "bad", evidence(200)) for name in names}))
    assert len(text) < 4_000_000
    reader.page.set_default_navigation_timeout(20_000)
    reader.open(text).keyboard.press("/")
    reader.page.keyboard.type("ENV-01")
    assert reader.checks == ["ENV-01"]


@pytest.mark.browser
def test_compared_runs_are_told_apart_and_filtered_by_keyboard(failing: RunReport, reader: Reader) -> None:
    reader.open(comparison_page([failing, run({}, "other:Bus"), run({}, "third:Bus")]))
    assert reader.page.locator(".runs li").count() == 3
    row = reader.page.locator("#ENV-01")
    assert row.locator(".whose:visible").all_inner_texts() == [
        "1. my_bus:Bus",
        "2. other:Bus",
        "3. third:Bus",
    ]
    assert row.locator(".verdict").all_inner_texts() == ["fail", "pass", "pass"]
    reader.page.keyboard.press("/")
    reader.page.keyboard.press("Tab")
    reader.page.keyboard.press("Space")
    assert reader.checks == ["ENV-01", "ENV-02", "DLQ-03", "DLQ-04"]
    assert row.locator(".tag").inner_text() == "differs"
    for scheme in SCHEMES:
        reader.page.emulate_media(color_scheme=scheme)
        assert reader.width() <= 400
    reader.page.set_viewport_size({"width": 1280, "height": 900})
    left, right = (cell.bounding_box() for cell in row.locator("td.of").all()[:2])
    assert left is not None
    assert right is not None
    assert left["y"] == right["y"]


def size(png: Path) -> tuple[int, int]:
    """Width and height of a picture, from its first chunk."""
    data = png.read_bytes()
    assert data.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def test_the_page_on_reports_shows_the_pictures_that_are_there() -> None:
    text = (PAGES / "reports.md").read_text(encoding="utf-8")
    named = re.findall(r"[(\"]([\w-]+\.png)[)\"]", text)
    assert sorted(named) == sorted(shot.name for shot in SHOTS)
    for shot in SHOTS:
        assert size(PAGES / shot.name) == (shot.width, shot.height)
        assert (PAGES / shot.name).stat().st_size < 150_000


@pytest.mark.browser
def test_the_pictures_are_made_as_the_page_names_them(tmp_path: Path, browser: Browser) -> None:
    with ThreadPoolExecutor(1) as thread:  # playwright has a loop in this one
        runs = thread.submit(sample_runs, ("ENV-01", "ORD-03", "DLQ-03")).result()
    verdicts = [[str(item.verdict) for item in run.checks] for run in runs]
    assert verdicts == [["fail"] * 3, ["pass", "pass", "fail"], ["pass"] * 3]
    for picture, shot in zip(take(runs, tmp_path, browser), SHOTS, strict=True):
        assert picture == tmp_path / shot.name
        assert size(picture) == (shot.width, shot.height)


def test_without_chromium_the_pictures_are_not_made_and_the_command_says_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert main([]) == 2
    assert "apt-get install chromium" in capsys.readouterr().err
