"""Each lint rule names what it is about, with file and line, and finds nothing in the shipped spec."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ampybus_contract.cli.main import main
from ampybus_contract.contract import data_directory
from ampybus_contract.contract.backtracking import explosive
from ampybus_contract.lint import lint
from ampybus_contract.lint.services import overlap

EXPLOSIVE = [
    "(?i)(ab|AB)*c", "(?i:(ab|AB)*)c", r"(?s)(?:.|\n)*b", r"(?:\s|[^\x00-\x7f])*b", "(x)?(?(1)b|(?:a+)+c)$",
    r"(a)(?:\1|a)*b", r"(?:[^a]|\S)*b",
    "(a+)+$", "(a|aa)+$", "(a|a)*b", "(a*)*", "([a-z]+)*x", "(x+x+)+y", "(a?){30}a", r"(\w+\s?)+$",
    "(a|b|ab)*c", "(?=(a+)+b)a", "((ab)?(ab)?)*x", "(a{1,30}){1,30}b", "(?:(?:a|b)+c?)*d",
    "(a{0,15}){0,15}b", "((a{0,7}){0,7}){0,7}b", "((a+)b?)+c", "((ab)*(a|b)*)c", "(?=(?!(a+)+b))a",
]  # fmt: skip
POLYNOMIAL = [
    ".*.*=.*", "a*a*$", r"\d+\d+x", "(.*),(.*)", "a*b?a*x", "(?=.*.*x)a",
]  # fmt: skip
HARMLESS = [
    "a+", ".*", r"[a-z]+(\.[a-z]+)*", "(?:[0-9A-Z] ?)+x", r"(\w+\s)+$", "(a|b)*c", "(?:ab|cd)+",
    "(?!0{32})[0-9a-f]{32}", "[^=]*=.*", "a+b+c+", "[a-z]*x[0-9]*", "[A-Z]{1,4}[A-Z0-9]{0,5}",
    "(?:[A-Z]{1,3} ?){1,4}", "(?:[ .-]{0,2}[0-9]){6,13}",
    "(?:[0-9a-f]{2})*", "(?:(?:[0-9a-f]{2}){4}-?){0,8}", "(?:a{0,15}b){9}",
    r"(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}", "(?P<x>a+)-(?P=x)",
]  # fmt: skip


def test_the_shipped_spec_is_sound() -> None:
    assert lint(data_directory("spec")) == []


@pytest.mark.parametrize("pattern", EXPLOSIVE)
def test_a_pattern_that_can_explode_is_found(pattern: str) -> None:
    assert explosive(pattern)


@pytest.mark.parametrize("pattern", POLYNOMIAL)
def test_loops_that_share_a_text_in_several_ways_are_found(pattern: str) -> None:
    assert explosive(pattern) == "two loops that can share one text in several ways"


@pytest.mark.parametrize("pattern", HARMLESS)
def test_a_harmless_pattern_is_left_alone(pattern: str) -> None:
    assert explosive(pattern) is None


def test_too_long_and_too_large_patterns_are_refused() -> None:
    assert explosive("a" * 3000)
    assert explosive("((((a{0,15}){0,15}){0,15}){0,15})")


@pytest.mark.parametrize(
    ("file", "old", "new", "path", "says"),
    [  # file, old text, new text, path of the problem, what it says
        ("headers.yaml", "pattern: application/x-protobuf", "pattern: '(a+)+'",
         "/headers/content_type/pattern",
         "without exponential backtracking"),
        ("headers.yaml", "example: live_0912", "example: ''", "/headers/run_id/example", "got ''"),
        ("domains/bars.yaml", "paths: [security.mic]", "paths: [security.mick]", "/components/mic",
         "none of security.mick"),
        ("domains/bars.yaml", "ampy.bars.v1.Bar:", "ampy.bars.v1.Barr:", "/payloads/ampy.bars.v1.Barr",
         "expected a payload type"),
        ("domains/bars.yaml", "item: bars", "item: bar", "/payloads/ampy.bars.v1.BarBatch/item", "got 'bar'"),
        ("domains/ticks.yaml", "choice: kind", "choice: sort", "/payloads/ampy.ticks.v1.Tick", "got 'sort'"),
        ("domains/metrics.yaml", "{topic: service}", "{topic: servant}", "/components/service/topic",
         "got 'servant'"),
        ("domains/fills.yaml", "ampy.fills.v1.Fill: ampy.fills.v1.FillEvent",
         "ampy.orders.v1.OrderRequest: ampy.fills.v1.FillEvent", "/payloads/ampy.orders.v1.OrderRequest",
         "also in fills"),
        ("services.yaml", "reads: [signals.v1.>, fills.v1.events", "reads: [signals.v1.>, fills.v2.events",
         "/services/ampy-oms/reads/1", "a topic that a service publishes"),
        ("services.yaml", "publishes: [ticks.v1.>", "publishes: [tick.v1.>",
         "/services/databento-cpp/publishes/0",
         "one of the domains"),
        ("requirements/headers.yaml", "text: \"message_id is a version 7 UUID.\"",
         "text: \"message_id should be a version 7 UUID.\"", "/requirements/HDR-02/text",
         "'should' in a MUST"),
        ("pointer.yaml", "on_missing: handler_error", "on_missing: gone", "/on_missing", "a declared name"),
    ],
)  # fmt: skip
def test_a_departure_is_named_with_its_place_and_a_fix(
    spec_copy: Path, file: str, old: str, new: str, path: str, says: str
) -> None:
    target = spec_copy / file
    text = target.read_text()
    assert old in text, f"{file} has no {old!r}"
    target.write_text(text.replace(old, new, 1))
    line = 1 + text[: text.index(old)].count("\n")
    found = [item for item in lint(spec_copy) if item.path == path]
    assert found, lint(spec_copy)
    assert any(says in str(item) for item in found)
    assert all(item.fix for item in found)
    assert all(abs(item.line - line) <= 1 for item in found if item.file == file)


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("bars.v1.>", "bars.v1.XNAS.AAPL", True),
        ("bars.v1.*", "bars.v1.XNAS.AAPL", False),
        ("*.v1.raw", "news.v1.*", True),
        ("news.v1.raw", "news.v1.nlp", False),
        ("news.v1", "news.v1.>", False),
    ],
)
def test_patterns_overlap_where_a_topic_fits_both(one: str, other: str, both: bool) -> None:
    assert overlap(one, other) is overlap(other, one) is both


@pytest.mark.parametrize("form", ["json", "github"])
def test_problems_come_in_other_forms(spec_copy: Path, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = spec_copy / "headers.yaml"
    file.write_text(file.read_text().replace("example: live_0912", "example: ''"))
    assert main(["spec", "lint", str(spec_copy), "--format", form]) == 1
    line, *_ = capsys.readouterr().out.splitlines()
    if form == "json":
        assert json.loads(line)["path"] == "/headers/run_id/example"
    else:
        assert line.startswith("::error file=headers.yaml,line=")


def test_what_keeps_a_spec_from_loading_does_not_hide_the_rest(spec_copy: Path) -> None:
    for file, old, new in (
        ("slo.yaml", "latency:\n", "more: 1\nlatency:\n"),
        ("services.yaml", "reads: [signals.v1.>, fills.v1.events", "reads: [signals.v1.>, fills.v2.events"),
        ("domains/bars.yaml", "paths: [security.mic]", "paths: [security.mick]"),
    ):
        text = (spec_copy / file).read_text()
        assert old in text
        (spec_copy / file).write_text(text.replace(old, new, 1))
    assert {item.file for item in lint(spec_copy)} == {"slo.yaml", "services.yaml", "domains/bars.yaml"}
