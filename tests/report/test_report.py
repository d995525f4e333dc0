"""What a run says in each form of its report."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from jsonschema import Draft202012Validator

from ampybus_contract.cli.main import main
from ampybus_contract.contract import data_directory, default_contract
from ampybus_contract.contract.digest import spec_digest
from ampybus_contract.errors import ReportError
from ampybus_contract.harness.verdicts import Result, Verdict
from ampybus_contract.report.annotations import annotated
from ampybus_contract.report.comparison import compare, render_comparison
from ampybus_contract.report.document import SCHEMA, Heading, RunReport, read_report, run_report
from ampybus_contract.report.findings import header_rows, shown
from ampybus_contract.report.forms import write_report
from ampybus_contract.report.html import comparison_page, page
from ampybus_contract.report.junit import junit
from ampybus_contract.report.picture import picture, times
from ampybus_contract.report.statement import badge, verdict
from ampybus_contract.report.terminal import folded, render
from ampybus_contract.report.visible import visible

NASTY = "</script><script>alert(1)</script>\x00\ud800"


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


def test_junit_tells_what_happened_and_how_the_run_is_repeated(failing: RunReport) -> None:
    root = ElementTree.fromstring(junit(failing))
    (failure,) = root.iter("failure")
    assert "deliver ok" in (failure.text or "")
    assert failing.checks[0].again in (failure.text or "")
    for suite in root:
        assert suite[0].tag == "properties"
        properties = {item.get("name"): item.get("value") for item in suite[0]}
        assert properties.items() >= {"binding": "my_bus:Bus", "seed": "7", "sync": "always"}.items()


def test_junit_has_the_time_that_checks_took_where_it_was_taken(failing: RunReport) -> None:
    first, second, *others = failing.checks
    timed = [dataclasses.replace(first, seconds=1.5), dataclasses.replace(second, seconds=0.25), *others]
    root = ElementTree.fromstring(junit(dataclasses.replace(failing, checks=tuple(timed))))
    assert [suite.get("time") for suite in root][:2] == ["1.750", None]
    assert [case.get("time") for case in root.iter("testcase")][:3] == ["1.500", "0.250", None]


def test_junit_cases_of_two_bindings_are_not_taken_for_the_same() -> None:
    names = []
    for binding in ("nats", "my_bus:Bus"):
        cases = ElementTree.fromstring(junit(run(binding=binding))).iter("testcase")
        names.append({(case.get("classname"), case.get("name")) for case in cases})
    assert not names[0] & names[1]
    assert ("ampybus.my_bus_Bus.Keys", "KEY-01") in {(group, (name or "")[:6]) for group, name in names[1]}


def test_a_binding_cannot_write_to_the_terminal_through_a_report() -> None:
    nasty = "\x1b]0;title\x07\x1b[2J\u202e"
    other = run({"ENV-01": Result("ENV-01", Verdict.FAIL, nasty)}, nasty)
    for lines in (render(other), render_comparison([other, run()])):
        assert not set("".join(lines)) & set("\x1b\x07\u202e")


def test_lines_are_folded_between_words_and_commands_are_left_whole(failing: RunReport) -> None:
    whole = list(render(failing))
    lines = list(folded(whole, 80))
    again = failing.checks[0].again
    assert [line for line in lines if len(line) > 80] == [line for line in whole if again[:30] in line]
    assert "".join(" ".join(lines).split()) == "".join(" ".join(whole).split())
    (place,) = (place for place, line in enumerate(lines) if "HDR-09" in line)
    assert lines[place + 1].startswith("      ")


def test_the_table_fits_80_columns_with_one_more_verdict(failing: RunReport) -> None:
    for other in (Verdict.DESELECTED, Verdict.DEVIATION):
        more = dataclasses.replace(failing.checks[-1], verdict=other)
        table = list(render(dataclasses.replace(failing, checks=(*failing.checks[:-1], more))))
        (head,) = (line for line in table if line.startswith("chapter"))
        assert str(other) in head
        assert len(head) <= 80


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
    assert [lane.name for lane in drawn.lanes] == ["producer", "broker", "consumer"]
    producer, broker, consumer = (lane.x for lane in drawn.lanes)
    assert [(step.x1, step.x2) for step in drawn.steps] == [
        (producer, broker),
        (broker, broker),
        (broker, consumer),
    ]
    assert [step.marked for step in drawn.steps] == [False, False, True]


def test_the_arrows_of_messages_that_overtake_one_another_cross() -> None:
    early, late = {"message_id": "early1"}, {"message_id": "late22"}
    drawn = picture(
        [
            event("publish", "producer", "invoke", **early),
            event("publish", "producer", "invoke", **late),
            event("effect", "consumer", **late),
            event("effect", "consumer", **early),
        ]
    )
    _, _, second, first = drawn.steps
    assert first.x1 == second.x1 == drawn.lanes[1].x
    assert first.y1 < second.y1
    assert first.y2 > second.y2


def test_a_call_whose_answer_is_in_the_picture_is_a_point_and_only_the_answer_an_arrow() -> None:
    drawn = picture([event("publish", "producer", "invoke"), event("publish", "producer")])
    assert [step.x1 == step.x2 for step in drawn.steps] == [True, False]


def test_times_that_milliseconds_cannot_tell_apart_have_microseconds() -> None:
    near = [event("publish", "producer"), event("deliver", "consumer") | {"at": 1_620_000}]
    assert times(near) == ["0.001500 s", "0.001620 s"]
    assert times([near[0], near[1] | {"at": 9_000_000}]) == ["0.002 s", "0.009 s"]


def test_of_long_header_values_the_part_that_differs_is_shown() -> None:
    first, last = (event("deliver", "consumer", source="s" * 4000 + end) for end in "ab")
    (row,) = (row for row in header_rows([first, last]) if row.differs)
    assert [("a (" in value, len(value) < 300) for value in row.shown] == [(True, True), (False, True)]
    assert row.shown[1].endswith("b (4001 characters)")


def test_what_shows_a_finding_in_other_words_comes_before_more_of_the_same() -> None:
    evidence = [{"sentence": word, "events": []} for word in "aaaaaaab"]
    assert [item["sentence"] for item in shown(evidence)] == ["a", "b", "a", "a", "a"]


@pytest.mark.parametrize("text", ["plain", "größer ≥ 1", "שלום", "two\nlines", ""])
def test_what_can_be_read_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "seen"),
    [("a\u202eb", "a\\u202eb"), ("\x1b[2J", "\\x1b[2J"), ("\u200b", "\\u200b"), ("\ud800", "\\ud800")],
)
def test_what_nobody_sees_is_shown(text: str, seen: str) -> None:
    assert visible(text) == seen


def test_the_page_says_how_to_replay_the_schedule_that_was_saved(failing: RunReport) -> None:
    first = failing.checks[0]
    replay = f"{first.reason} Replay: pytest --ampybus-schedule x.json"
    changed = dataclasses.replace(failing, checks=(dataclasses.replace(first, reason=replay),))
    assert "--ampybus-schedule x.json" in page(changed)
