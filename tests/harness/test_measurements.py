"""What a history measures, and how a report shows it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ampybus_contract.bindings.memory import MemoryTransport
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.brokers.memory import MemorySource
from ampybus_contract.cli.main import main
from ampybus_contract.contract import default_contract
from ampybus_contract.envelope import Envelope, Headers
from ampybus_contract.harness.history import Event, Operation, Outcome
from ampybus_contract.harness.judge import Judge
from ampybus_contract.harness.measurements import POINTS, measurements, percentile
from ampybus_contract.harness.suites import suites
from ampybus_contract.harness.verdicts import Result, Verdict
from ampybus_contract.report.document import SCHEMA, Heading, RunReport, read_report, run_report
from ampybus_contract.report.forms import write_report
from ampybus_contract.report.html import comparison_page, page
from ampybus_contract.report.plots import amount, plots

MS = 1_000_000


def event(
    at: int, operation: Operation, name: str = "", outcome: Outcome = Outcome.OK, count: int = 0
) -> Event:
    envelope = Envelope("ampy.dev.bars.v1.XNAS.AA", Headers({"message_id": name}), b"")
    return Event(at, "x", operation, outcome, envelope, count=count)


def taking(*milliseconds: int) -> list[Event]:
    """Messages published one a second, each with an effect after so long."""
    made: list[Event] = []
    for number, took in enumerate(milliseconds):
        start = number * 1000 * MS
        made.append(event(start, Operation.PUBLISH, f"m{number}", Outcome.INVOKE))
        made.append(event(start + took * MS, Operation.EFFECT, f"m{number}"))
    return made


def named(history: list[Event], name: str) -> Any:
    (found,) = [item for item in measurements(history) if item["name"] == name]
    return found


def test_a_latency_is_from_the_first_publish_to_the_first_effect() -> None:
    history = [
        event(10, Operation.PUBLISH, "a", Outcome.INVOKE),
        event(20, Operation.PUBLISH, "a", Outcome.INFO),
        event(30, Operation.PUBLISH, "A", Outcome.INVOKE),
        event(35, Operation.EFFECT, "never published"),
        event(50, Operation.EFFECT, "a"),
        event(90, Operation.EFFECT, "a"),
        event(91, Operation.PUBLISH, "lost", Outcome.INVOKE),
    ]
    latency = named(history, "latency")
    assert (latency["points"], latency["count"], latency["unit"]) == ([[50, 40]], 1, "ns")


def test_percentiles_are_of_all_values_and_points_keep_the_highest() -> None:
    latency = named(taking(*range(1, 501)), "latency")
    figures = [latency[name] // MS for name in ("p50", "p90", "p99", "most")]
    assert figures == [250, 450, 495, 500]
    assert len(latency["points"]) <= POINTS
    assert max(value for _, value in latency["points"]) == 500 * MS


def test_what_is_in_transit_rises_with_a_publish_and_falls_with_an_effect() -> None:
    history = [
        event(0, Operation.PUBLISH, "a", Outcome.INVOKE),
        event(1, Operation.PUBLISH, "b", Outcome.INVOKE),
        event(2, Operation.EFFECT, "b"),
        event(3, Operation.EFFECT, "a"),
        event(4, Operation.PUBLISH, "lost", Outcome.INVOKE),
    ]
    assert named(history, "in transit")["points"] == [[0, 1], [1, 2], [2, 1], [3, 0]]


def test_counts_of_the_history_are_series() -> None:
    kinds = {"lag": Operation.LAG, "backlog": Operation.BACKLOG, "in flight": Operation.HELD}
    for name, operation in kinds.items():
        history = [event(1, operation, count=7), event(5, operation, count=0)]
        assert [item["name"] for item in measurements(history)] == [name]
        assert named(history, name)["points"] == [[1, 7], [5, 0]]


def test_a_history_that_measures_nothing_has_no_series() -> None:
    assert measurements([event(0, Operation.STORE, "a")]) == ()


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=300))
def test_every_value_is_in_the_bin_that_holds_it(values: list[int]) -> None:
    history = [event(place, Operation.LAG, count=value) for place, value in enumerate(values)]
    series = named(history, "lag")
    below = -1
    for edge, count in series["bins"]:
        assert count == sum(below < value <= edge for value in values)
        below = edge
    assert sum(count for _, count in series["bins"]) == len(values)
    assert sum(value <= series["p90"] for value in values) >= 0.9 * len(values)
    assert series["p90"] in values


@pytest.mark.parametrize(("share", "value"), [(50, 2), (75, 3), (76, 4), (100, 4)])
def test_a_percentile_is_a_value_that_was_there(share: int, value: int) -> None:
    assert percentile([1, 2, 3, 4], share) == value


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (0, "ns", "0 s"),
        (999, "ns", "999 ns"),
        (1_500, "ns", "1.5 µs"),
        (51_700_000, "ns", "51.7 ms"),
        (2 * 10**9, "ns", "2 s"),
        (7, "messages", "7"),
    ],
)
def test_an_amount_is_in_the_unit_that_suits_it(value: int, unit: str, words: str) -> None:
    assert amount(value, unit) == words


def test_a_plot_stays_within_its_frame_and_one_value_has_none() -> None:
    drawn = plots(named(taking(1, 5, 200), "latency"))
    assert [plot.title for plot in drawn] == ["latency, how many messages", "latency over time"]
    for plot in drawn:
        for mark in plot.marks:
            assert plot.left <= mark.x <= mark.x + mark.width <= plot.width
            assert 0 <= mark.y <= mark.y + mark.height <= plot.floor
    assert plots(named(taking(5), "latency")) == []
    assert plots(named(taking(0, 0, 0), "latency")) == []


def test_a_judge_measures_what_it_plays() -> None:
    contract = default_contract()
    judge = Judge(contract, MemorySource(), lambda: ReferenceBinding(MemoryTransport(), contract), 1)
    suite = suites()["BPR-02"]
    result = judge.judge("BPR-02", suite.scenario, suite.checkers)
    assert {"latency", "lag"} <= {item["name"] for item in result.measured}
    assert Result.from_dict(json.loads(json.dumps(result.to_dict()))) == result


@pytest.fixture
def measured() -> RunReport:
    contract = default_contract()
    results = {name: Result(name, Verdict.PASS) for name in contract.judged}
    series = measurements([*taking(3, 4, 90), event(9, Operation.LAG, count=7)])
    results["ORD-01"] = replace(results["ORD-01"], measured=series)
    heading = Heading("my_bus:Bus", None, "memory simulator", {"clock": "virtual"}, 7)
    digest = f"sha256:{'0' * 64}"
    return run_report(contract, digest, "2026-01-02T03:04:05Z", heading, list(results.values()))


def test_what_was_measured_is_in_the_json_report_and_reads_back(measured: RunReport, tmp_path: Path) -> None:
    Draft202012Validator(json.loads(SCHEMA.read_text())).validate(json.loads(json.dumps(measured.to_dict())))
    write_report(measured, tmp_path / "run.json")
    assert read_report(tmp_path / "run.json") == measured


def test_a_report_from_before_measurements_reads_still(measured: RunReport, tmp_path: Path) -> None:
    data = json.loads(json.dumps(measured.to_dict()))
    for item in data["checks"]:
        del item["measured"]
    (tmp_path / "old.json").write_text(json.dumps(data))
    assert all(item.measured == () for item in read_report(tmp_path / "old.json").checks)


def test_show_and_compare_say_the_figures(
    measured: RunReport, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = str(tmp_path / "run.json")
    write_report(measured, tmp_path / "run.json")
    words = "p50 4 ms, p90 90 ms, p99 90 ms, most 90 ms"
    assert main(["report", "show", name]) == 0
    assert words not in capsys.readouterr().out
    assert main(["report", "show", name, "--measured"]) == 0
    out = capsys.readouterr().out
    assert f"ORD-01  latency          3 values: {words}" in out
    assert "ORD-01  lag              1 values: most 7" in out
    assert main(["report", "compare", name, name, "--measured"]) == 0
    assert f"[2] latency {words}" in capsys.readouterr().out
    assert comparison_page([measured, measured]).count(f"latency {words}") == 2


def test_the_page_draws_what_was_measured(measured: RunReport) -> None:
    text = page(measured)
    assert text.count('<svg class="plot"') == 3
    assert "latency, 3 values in virtual time: <b>p50 4 ms" in text
    assert "1 at most 100 ms and above 70 ms" in text
