"""Each kind of change has its direction; the version must say as much as the changes do."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ampybus_contract.cli.main import main
from ampybus_contract.contract import data_directory
from ampybus_contract.contract.evolution import Direction, compare, spec_at
from ampybus_contract.contract.evolution.compare import tree
from ampybus_contract.contract.evolution.rules import effect_of
from ampybus_contract.contract.languages import Relation, relation
from ampybus_contract.errors import RevisionError, SpecError

SHIPPED = data_directory("spec")
P, C, O = Direction.PRODUCERS, Direction.CONSUMERS, Direction.OPERATORS  # noqa: E741  read as a table


def leaves(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{path}/{key}".lstrip("/"))
    else:
        yield path


def edited(directory: Path, file: str, old: str, new: str) -> Path:
    path = directory / file
    text = path.read_text()
    assert old in text, f"{file} has no {old!r}"
    path.write_text(text.replace(old, new, 1))
    return directory


def test_every_value_of_the_spec_has_a_rule() -> None:
    assert [path for path in leaves(tree(SHIPPED)) if effect_of(path) is None] == []


def test_a_contract_does_not_differ_from_itself() -> None:
    found = compare(SHIPPED, SHIPPED)
    assert (found.changes, found.asked, found.made, found.sufficient) == ((), "none", "none", True)


DESK_REQUIRED = "  desk: {required: HDR-01, format: HDR-08, pattern: d, example: d}\n"
CASES = [  # file, old text, new text, path, whom it breaks, words of the meaning
    ("headers.yaml", "pattern: 'sha256:[0-9a-f]{64}'", "pattern: 'sha256:[0-9a-fA-F]{64}'",
     "headers/headers/dlq_payload_hash/pattern", {C}, "more values"),
    ("headers.yaml", "'00-(?P<trace_id>", "'0[01]-(?P<trace_id>", "headers/headers/traceparent/pattern", {P,
     C},
     "cannot be compared"),
    ("headers.yaml", "headers:\n", f"headers:\n{DESK_REQUIRED}",
     "headers/headers/desk", {P}, "a new required header"),
    ("headers.yaml", "headers:\n", "headers:\n  desk: {format: HDR-08, pattern: d, example: d}\n",
     "headers/headers/desk", set(), "a new optional header"),
    ("headers.yaml", "  span_id: {", "  spin_id: {", "headers/headers/span_id", {C}, "no longer"),
    ("headers.yaml", "span_id: {format", "span_id: {required: HDR-01, format",
     "headers/headers/span_id/required", {P},
     "required now"),
    ("headers.yaml", "example: live_0912", "example: live_0913", "headers/headers/run_id/example", set(),
     "wording"),
    ("delivery.yaml", "effects_remembered: 100000", "effects_remembered: 5000",
     "delivery/effects_remembered", {C},
     "take effect twice"),
    ("delivery.yaml", "execution: {attempts: 5", "execution: {attempts: 4",
     "delivery/tiers/execution/attempts", {C},
     "fewer attempts"),
    ("delivery.yaml", "  blob_error:", "  blob_trouble:", "delivery/reasons/blob_error", {O}, "is gone"),
    ("domains/bars.yaml", "key: '{mic}.{symbol}'", "key: '{symbol}.{mic}'", "domains/bars/key", {P, C},
     "another partition key"),
    ("domains/bars.yaml", "[A-Z0-9]{4}", "[A-Z]{4}", "domains/bars/subtopic", {P}, "fewer subtopics"),
    ("domains/bars.yaml", "(?P<mic>[A-Z0-9]{4})\\.(?P<symbol>", "(?P<symbol>[A-Z0-9]{4})\\.(?P<mic>",
     "domains/bars/subtopic", {P, C}, "may be taken apart"),
    ("domains/bars.yaml", "(?P<mic>[A-Z0-9]{4})\\.", "(?P<mic>[A-Z0-9]{4}\\.)",
     "domains/bars/subtopic", {P, C}, "may be taken apart"),
    ("domains/bars.yaml", "ordering: strict", "ordering: relaxed", "domains/bars/ordering", {C},
     "rely on the order"),
    ("domains/bars.yaml", "  ampy.bars.v1.BarBatch: {item: bars}\n", "",
     "domains/bars/payloads/ampy.bars.v1.BarBatch",
     {P, C}, "is gone"),
    ("domains/fills.yaml", "{ampy.fills.v1.Fill: ampy.fills.v1.FillEvent}", "{}",
     "domains/fills/aliases/ampy.fills.v1.Fill", {P}, "is gone"),
    ("contract.yaml", "environments: [dev, paper, prod]", "environments: [dev, paper, prod, lab]",
     "contract/topic/environments", {O}, "environments that come: lab"),
    ("contract.yaml", "sent_below_bytes: 1048576", "sent_below_bytes: 524288",
     "contract/payload/sent_below_bytes", {P},
     "smaller limit"),
    ("slo.yaml", "at_most_ms: 50", "at_most_ms: 40", "slo/latency/execution/at_most_ms", {O}, "tighter"),
    ("slo.yaml", "at_least: 0.999", "at_least: 0.99", "slo/availability/at_least", {C}, "looser"),
    ("replay.yaml", "live_days: 7", "live_days: 3", "replay/retention/standard/live_days", {C, O}, "shorter"),
    ("services.yaml", "reads: [signals.v1.>, fills.v1.events, ", "reads: [signals.v1.>, ",
     "services/services/ampy-oms/reads", {C}, "no longer read: fills.v1.events"),
    ("requirements/headers.yaml", "HDR-03:\n    level: SHOULD", "HDR-03:\n    level: MUST",
     "requirements/HDR-03/level",
     {P, C}, "raised"),
    ("payloads.yaml", "batch_at_most: 4", "batch_at_most: 5", "payloads/batch_at_most", set(), "test data"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "path", "breaks", "says"), CASES)
def test_a_change_breaks_whom_it_breaks(
    spec_copy: Path, file: str, old: str, new: str, path: str, breaks: set[Direction], says: str
) -> None:
    found = compare(SHIPPED, edited(spec_copy, file, old, new))
    change = next(item for item in found.changes if item.path == path)
    assert (set(change.breaks), says in change.meaning) == (breaks, True), change
    if breaks:
        assert (found.asked, found.sufficient) == ("major", False)


def test_what_narrows_one_way_widens_the_other(spec_copy: Path) -> None:
    edited(spec_copy, "domains/bars.yaml", "[A-Z0-9]{4}", "[A-Z]{4}")
    (there,), (back,) = compare(SHIPPED, spec_copy).changes, compare(spec_copy, SHIPPED).changes
    assert (there.breaks, back.breaks) == ((P,), (C,))


@pytest.mark.parametrize(
    ("change", "version", "asked", "code"),
    [
        (("headers.yaml", "example: live_0912", "example: live_0913"), "1.0.1", "patch", 0),
        (("headers.yaml", "example: live_0912", "example: live_0913"), "1.0.0", "patch", 1),
        (("payloads.yaml", "batch_at_most: 4", "batch_at_most: 5"), "1.1.0", "minor", 0),
        (("domains/bars.yaml", "ordering: strict", "ordering: relaxed"), "1.9.0", "major", 1),
        (("domains/bars.yaml", "ordering: strict", "ordering: relaxed"), "2.0.0", "major", 0),
        (("domains/bars.yaml", "ordering: strict", "ordering: relaxed"), "0.9.0", "major", 1),
    ],
)
def test_the_version_must_say_as_much_as_the_changes(
    spec_copy: Path, change: tuple[str, str, str], version: str, asked: str, code: int,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    edited(spec_copy, *change)
    edited(spec_copy, "contract.yaml", "version: 1.0.0", f"version: {version}")
    assert main(["spec", "diff", str(SHIPPED), str(spec_copy)]) == code
    assert f"the changes ask for: {asked}" in capsys.readouterr().out
    assert main(["spec", "diff", "shipped", str(spec_copy), "--format", "json"]) == code
    assert json.loads(capsys.readouterr().out)["asked"] == asked


def test_what_nobody_declared_breaks_everybody(spec_copy: Path) -> None:
    (spec_copy / "weather.yaml").write_text("sun: 1\n")
    (found,) = compare(SHIPPED, spec_copy).changes
    assert set(found.breaks) == set(Direction)


def git(directory: Path, *words: str) -> None:
    identity = ["-c", "user.name=n", "-c", "user.email=n@e.example", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *words], cwd=directory, check=True, capture_output=True, timeout=60)


def test_tags_and_commits_are_read_from_the_repository_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    shutil.copytree(SHIPPED, tmp_path / "spec")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    git(tmp_path, "tag", "v1.0.0")
    edited(tmp_path / "spec", "domains/bars.yaml", "ordering: strict", "ordering: relaxed")
    git(tmp_path, "commit", "-qam", "two")
    monkeypatch.chdir(tmp_path / "spec")
    assert main(["spec", "diff", "v1.0.0", "HEAD"]) == 1
    assert "BREAKS consumers: domains/bars/ordering" in capsys.readouterr().out
    assert main(["spec", "diff", "HEAD~1:spec", "v1.0.0"]) == 0


@pytest.mark.parametrize(
    "name", ["nosuch", "--upload-pack=x", "-h", "HEAD:../..", "", ":spec", "HEAD:nosuch"]
)
def test_what_is_no_version_is_a_usage_error(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    git(tmp_path, "init", "-q")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RevisionError, match="REVISION expected"), spec_at(name):
        pass
    if not name.startswith("-"):
        assert main(["spec", "diff", "shipped", name]) == 2
        assert "REVISION" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "- a\n", "version: one\n", "version: [\n"])
def test_a_directory_without_a_contract_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "contract.yaml").write_text(content)
    with pytest.raises(SpecError):
        compare(SHIPPED, tmp_path)


ATOMS = [
    "a", "b", "[ab]", "a?", "b*", "(?:ab|b)", "a{1,3}", "(?:a|bb)+", "[^a]", ".", "é", "[aé§]", "[^é]", r"\w",
    r"\W", r"[^\W]", r"\d", r"\s", "a++", "(?>a|ab)", "(?i:A)", "(?=a)", "(?!b)", r"\b", "a{0,2000}",
    "[a-\U0010ffff]",
]  # fmt: skip


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_a_relation_agrees_with_what_matches(data: st.DataObject) -> None:
    atom = st.sampled_from(ATOMS)
    old, new = ("".join(data.draw(st.lists(atom, min_size=1, max_size=4))) for _ in range(2))
    how, text = relation(old, new)

    for sample in data.draw(st.lists(st.text("abé§٣", max_size=6), max_size=20)):
        before, after = bool(re.fullmatch(old, sample)), bool(re.fullmatch(new, sample))
        assert how is not Relation.EQUAL or before == after
        assert how is not Relation.NARROWER or before or not after
        assert how is not Relation.WIDER or after or not before
    if text is not None:
        assert bool(re.fullmatch(old, text)) != bool(re.fullmatch(new, text))


@pytest.mark.parametrize(
    ("old", "new"),
    [("[äö]", "[ä]"), ("ä", "ö"), (r"[^\W]", r"\w"), ("a++a", "aa+"), ("(?>a|ab)c", "(?:a|ab)c"),
     ("a{1,5000}", "a{1,4000}"), (r"\d", r"[0-9]"), ("(", "a"), ("a", "a{2,1}")],
)  # fmt: skip
def test_what_the_automaton_does_not_follow_is_unknown(old: str, new: str) -> None:
    assert relation(old, new) == (Relation.UNKNOWN, None)


def wide(end: str) -> str:
    return "(?:" + "|".join(f"[{first}-{end}]x" for first in "abcdefghijklmnopqrstuvw" * 3) + ")*"


@pytest.mark.parametrize(
    ("old", "new"), [("[ab]*a[ab]{14}", "[ab]*a[ab]{15}"), (wide("z"), wide("y"))], ids=["doubling", "broad"]
)
def test_a_comparison_ends_after_so_many_steps(old: str, new: str) -> None:
    assert relation(old, new)[0] is Relation.UNKNOWN


def test_repeats_within_repeats_are_not_taken_for_endless() -> None:
    assert relation("(?:a{0,40}b){0,40}", "(?:a{0,41}b){0,40}")[0] is not Relation.EQUAL
