"""What a run says in each form of its report."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import pytest
from jsonschema import Draft202012Validator
from playwright.sync_api import Page, sync_playwright

from ampybus_contract.cli.main import main
from ampybus_contract.contract import data_directory, default_contract
from ampybus_contract.contract.digest import spec_digest
from ampybus_contract.errors import ReportError
from ampybus_contract.harness.verdicts import Result, Verdict
from ampybus_contract.report.annotations import annotated
from ampybus_contract.report.comparison import compare
from ampybus_contract.report.document import SCHEMA, Heading, RunReport, read_report, run_report
from ampybus_contract.report.forms import write_report
from ampybus_contract.report.html import comparison_page, page
from ampybus_contract.report.junit import junit
from ampybus_contract.report.picture import picture
from ampybus_contract.report.statement import badge, verdict

NASTY = "</script><script>alert(1)</script>\x00\ud800"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def event(operation: str, actor: str, outcome: str = "ok", **headers: str) -> dict[str, Any]:
    return {
        "at": 1_500_000,
        "actor": actor,
        "operation": operation,
        "outcome": outcome,
        "topic": "ampy.dev.bars.v1.XNAS.AA",
        "headers": {"message_id": "018f5e2f-9b1c-76aa-8f7a-3b1d8f3ea0c2", **headers},
        "payload_bytes": 14,
        "attempt": 1,
        "error": "",
    }


def run(changes: dict[str, Result] | None = None, binding: str = "my_bus:Bus") -> RunReport:
    contract = default_contract()
    results = {name: Result(name, Verdict.PASS) for name in contract.judged} | (changes or {})
    heading = Heading(binding, "nats://user:secret@127.0.0.1:4222", "NATS", {"sync": "always"}, 7)
    digest = spec_digest(data_directory("spec"))
    return run_report(contract, digest, "2026-01-02T03:04:05Z", heading, list(results.values()))


@pytest.fixture
def failing() -> RunReport:
    events = [
        event("publish", "producer", producer="a", source="s"),
        event("deliver", "consumer", producer=NASTY, source="s"),
    ]
    evidence = ({"sentence": f"Headers changed {NASTY}", "events": events},)
    changes = {
        "ENV-01": Result("ENV-01", Verdict.FAIL, f"Headers changed {NASTY}", evidence),
        "ENV-02": Result("ENV-02", Verdict.INCONCLUSIVE, "nothing was seen"),
        "DLQ-03": Result("DLQ-03", Verdict.NOT_CLAIMED, "no DLQ"),
    }
    return run(changes)


@pytest.fixture
def browser_page() -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser.new_page(viewport={"width": 400, "height": 900})
        browser.close()


def test_json_is_what_the_schema_says_and_reads_back_equal(failing: RunReport, tmp_path: Path) -> None:
    data = json.loads(json.dumps(failing.to_dict()))
    Draft202012Validator(json.loads(SCHEMA.read_text())).validate(data)
    clean = run()
    write_report(clean, tmp_path / "run.json")
    assert read_report(tmp_path / "run.json") == clean


def test_credentials_are_in_no_form(failing: RunReport) -> None:
    for text in (junit(failing), page(failing), "\n".join(annotated(failing))):
        assert "secret" not in text
    assert "secret" not in json.dumps(failing.to_dict())


@pytest.mark.parametrize(
    ("content", "says"),
    [("{", "a JSON report"), ("{}", "report of format 1"), ('{"format": 2}', "report of format 1")],
)
def test_what_is_no_report_is_refused_with_its_place(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(ReportError, match=says):
        read_report(path)
    assert main(["report", "show", str(path)]) == 2


def test_a_missing_check_does_not_reconcile() -> None:
    whole = run()
    assert whole.reconciles
    assert not dataclasses.replace(whole, checks=whole.checks[1:]).reconciles


def test_junit_counts_what_the_run_counts(failing: RunReport) -> None:
    root = ElementTree.fromstring(junit(failing))
    sums = {name: sum(int(suite.get(name, "")) for suite in root) for name in ("tests", "failures", "errors")}
    assert sums == {"tests": len(failing.checks), "failures": 1, "errors": 1}
    (failure,) = root.iter("failure")
    assert "HDR-01 MUST" in (failure.text or "")


def test_annotations_stay_on_one_line_each(failing: RunReport) -> None:
    lines = list(annotated(failing))
    assert [line.split(" ", 1)[0] for line in lines] == ["::error", "::warning"]
    assert all("\n" not in line for line in lines)


@pytest.mark.parametrize(
    ("result", "word"),
    [
        (None, "conformant in what it claims"),
        (Result("ENV-01", Verdict.FAIL), "not conformant"),
        (Result("ENV-01", Verdict.INCONCLUSIVE), "inconclusive"),
        (Result("ENV-01", Verdict.DESELECTED), "inconclusive"),
    ],
)
def test_the_badge_is_green_only_for_a_whole_run(result: Result | None, word: str) -> None:
    made = run({result.check: result} if result else None)
    assert verdict(made) == word
    assert (badge(made)["color"] == "brightgreen") == (result is None)


def test_a_binding_that_claims_nothing_is_not_called_conformant() -> None:
    nothing = {name: Result(name, Verdict.NOT_CLAIMED) for name in default_contract().judged}
    assert verdict(run(nothing)) == "nothing claimed"


def test_runs_are_compared_check_by_check(
    failing: RunReport, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {row.id: row for row in compare([failing, run()])}
    assert rows["ENV-01"].verdicts == ("fail", "pass")
    assert [name for name, row in rows.items() if row.differs] == ["ENV-01", "ENV-02", "DLQ-03"]
    write_report(run(), tmp_path / "a.json")
    write_report(run({"ENV-01": Result("ENV-01", Verdict.FAIL, "lost")}), tmp_path / "b.json")
    files = [str(tmp_path / "a.json"), str(tmp_path / "b.json")]
    assert main(["report", "compare", *files, "--html", str(tmp_path / "c.html")]) == 1
    assert "* ENV-01" in capsys.readouterr().out
    assert "lost" in (tmp_path / "c.html").read_text()
    assert main(["report", "compare", files[0], files[0]]) == 0


def test_the_page_takes_nothing_from_elsewhere_and_text_stays_text(failing: RunReport) -> None:
    for text in (page(failing), comparison_page([failing, run(binding=NASTY)])):
        assert "<script>alert" not in text
        assert "src=" not in text
        assert "http" not in text.replace("http-equiv", "")


def test_the_picture_has_a_lane_for_each_actor_and_marks_the_last_event() -> None:
    drawn = picture([event("publish", "producer"), event("store", "wire"), event("deliver", "consumer")])
    assert [name for name, _ in drawn.lanes] == ["producer", "broker", "consumer"]
    middle = dict(drawn.lanes)
    assert [(step.x1, step.x2) for step in drawn.steps] == [
        (middle["producer"], middle["broker"]),
        (middle["broker"], middle["broker"]),
        (middle["broker"], middle["consumer"]),
    ]
    assert [step.marked for step in drawn.steps] == [False, False, True]


def test_the_page_works_in_a_browser_by_keyboard_and_at_400_pixels(
    failing: RunReport, tmp_path: Path, browser_page: Page
) -> None:
    write_report(failing, tmp_path / "run.html")
    trouble: list[str] = []
    browser_page.on("console", lambda message: trouble.append(message.text))
    browser_page.on("pageerror", lambda error: trouble.append(str(error)))
    browser_page.goto((tmp_path / "run.html").as_uri())
    rows = browser_page.locator("tr.check:visible")
    assert rows.count() == len(failing.checks)
    browser_page.get_by_label("pass", exact=True).uncheck()
    assert rows.count() == 3
    browser_page.keyboard.press("/")
    browser_page.keyboard.type("HDR-01")
    assert rows.count() == 1
    assert browser_page.locator("mark").first.inner_text() == "a"
    assert browser_page.locator("svg").first.is_visible()
    assert browser_page.locator("#shown").inner_text() == f"1 of {len(failing.checks)} checks shown"
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for scheme in schemes:
        browser_page.emulate_media(color_scheme=scheme)
        assert browser_page.evaluate("document.documentElement.scrollWidth") <= 400
    assert trouble == []


def test_plots_open_by_keyboard_and_fit_400_pixels(tmp_path: Path, browser_page: Page) -> None:
    bins, points = [[1_000_000, 3], [2_000_000, 1]], [[0, 900_000], [9_000_000, 1_500_000]]
    figures = dict.fromkeys(("p50", "p90", "p99", "most"), 1_500_000)
    latency = {"name": "latency", "unit": "ns", "count": 4, **figures, "bins": bins, "points": points}
    write_report(run({"ENV-01": Result("ENV-01", Verdict.PASS, measured=(latency,))}), tmp_path / "run.html")
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for scheme in schemes:
        browser_page.emulate_media(color_scheme=scheme)
        browser_page.goto((tmp_path / "run.html").as_uri())
        drawn = browser_page.locator("#ENV-01 svg.plot")
        assert not drawn.first.is_visible()
        browser_page.locator("#ENV-01 summary").focus()
        browser_page.keyboard.press("Enter")
        assert [drawn.nth(place).is_visible() for place in range(drawn.count())] == [True, True]
        assert browser_page.evaluate("document.documentElement.scrollWidth") <= 400
        fill = "getComputedStyle(document.querySelector('.bar')).fill !== getComputedStyle(document.body)"
        assert browser_page.evaluate(f"{fill}.backgroundColor")
