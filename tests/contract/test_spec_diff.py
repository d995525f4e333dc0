"""Each kind of change has its direction; the version must say as much as the changes do."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorSet

from ampybus_contract.cli.main import main
from ampybus_contract.contract import data_directory
from ampybus_contract.contract.evolution import Direction, compare
from ampybus_contract.contract.evolution.compare import changes
from ampybus_contract.contract.evolution.effects import Difference, escaped, unescaped, unknown
from ampybus_contract.contract.evolution.protobuf import messages
from ampybus_contract.contract.evolution.rules import RULES, effect_of, fits
from ampybus_contract.contract.evolution.snapshot import snapshot
from ampybus_contract.errors import SpecError

SHIPPED = data_directory("spec")
P, C, O = Direction.PRODUCERS, Direction.CONSUMERS, Direction.OPERATORS  # noqa: E741  read as a table


def leaves(value: Any, path: str = "") -> Iterator[str]:
    """The path of every value that is no mapping."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}/{escaped(key)}".lstrip("/"))
    else:
        yield path


def declared(schema: dict[str, Any], root: dict[str, Any], path: str) -> Iterator[tuple[str, bool]]:
    """Every path of a JSON Schema, ``*`` for free keys, and whether it is a mapping without any."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    named = schema.get("properties", {})
    free = [
        item
        for item in (schema.get("additionalProperties"), *schema.get("patternProperties", {}).values())
        if item
    ]
    yield path, bool(named) and not free
    for key, inner in (*named.items(), *(("*", item) for item in free if isinstance(item, dict))):
        yield from declared(inner, root, f"{path}/{key}".lstrip("/"))


def all_declared() -> Iterator[tuple[str, bool]]:
    folders = {"domain": "domains/*", "requirements": ""}
    for file in (SHIPPED / "schema").glob("*.schema.json"):
        chapter = file.name.partition(".")[0]
        if chapter not in ("cases", "overlay"):
            schema = json.loads(file.read_text())
            for path, closed in declared(schema, schema, folders.get(chapter, chapter)):
                if path not in ("", "domains/*/domain"):
                    yield path, closed


DECLARED = dict(all_declared())
LEAVES = [path for path in DECLARED if not any(other.startswith(f"{path}/") for other in DECLARED)]


def edited(directory: Path, file: str, old: str, new: str) -> Path:
    path = directory / file
    text = path.read_text()
    assert old in text, f"{file} has no {old!r}"
    path.write_text(text.replace(old, new, 1))
    return directory


def test_every_value_of_the_spec_has_a_rule() -> None:
    assert [path for path in leaves(snapshot(SHIPPED).data) if effect_of(path) is unknown] == []


def test_every_value_that_a_schema_declares_has_a_rule() -> None:
    assert [path for path in LEAVES if effect_of(path) is unknown] == []


def test_no_rule_speaks_of_what_is_nowhere() -> None:
    paths = {*leaves(snapshot(SHIPPED).data), *DECLARED}
    around = {path.rpartition("/")[0] for path in paths}
    first = {next((row for row, _ in RULES if fits(row, path)), None) for path in paths | around}
    assert [row for row, _ in RULES if row not in first and not row.startswith("overlay")] == []


def test_a_key_that_nobody_declared_is_never_harmless() -> None:
    for path in (path for path, closed in DECLARED.items() if closed):
        (found,) = changes(Difference(f"{path}/sun", None, 1, {}, {}))
        assert found.breaks, path


JUNK: list[Any] = [None, "", "(", "x", 0, True, 1.5, [], [1], [[]], {}, {"a": 1}, {"a": {"b": []}}]


def test_values_of_any_kind_are_compared() -> None:
    whole = snapshot(SHIPPED).data
    one_a_row = {next(row for row, _ in RULES if fits(row, path)): path for path in leaves(whole)}
    for path, junk in itertools.product(one_a_row.values(), JUNK):
        value: Any = whole
        for key in path.split("/"):
            value = value[unescaped(key)]
        for one, other in ((value, junk), (junk, value)):
            same = one == other or all(side is None or side == {} for side in (one, other))
            found = list(changes(Difference(path, one, other, whole, whole)))
            assert bool(found) != same, (path, one, other)


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
     "contract/topic/environments", set(), "environments that come: lab"),
    ("contract.yaml", "environments: [dev, paper, prod]", "environments: [dev, prod]",
     "contract/topic/environments", {P, C, O}, "environments that go: paper"),
    ("contract.yaml", "sent_below_bytes: 1048576", "sent_below_bytes: 2097152",
     "contract/payload/sent_below_bytes", {C, O}, "larger limit"),
    ("contract.yaml", "sent_below_bytes: 1048576", "sent_below_bytes: 524288",
     "contract/payload/sent_below_bytes", {P},
     "smaller limit"),
    ("slo.yaml", "at_most_ms: 50", "at_most_ms: 40", "slo/latency/execution/at_most_ms", {O}, "tighter"),
    ("slo.yaml", "at_least: 0.999", "at_least: 0.99", "slo/availability/at_least", {C}, "looser"),
    ("replay.yaml", "live_days: 7", "live_days: 3", "replay/retention/standard/live_days", {C, O}, "shorter"),
    ("services.yaml", "reads: [signals.v1.>, fills.v1.events, ", "reads: [signals.v1.>, ",
     "services/services/ampy-oms/reads", {C, O}, "no longer read: fills.v1.events"),
    ("requirements/headers.yaml", "HDR-03:\n    level: SHOULD", "HDR-03:\n    level: MUST",
     "requirements/HDR-03/level",
     {P, C, O}, "raised"),
    ("requirements/headers.yaml", "HDR-01:\n    level: MUST", "HDR-01:\n    level: SHOULD",
     "requirements/HDR-01/level", {C}, "lowered"),
    ("requirements/headers.yaml", "HDR-01:", "HDR-99:", "requirements/HDR-99", {P, C, O},
     "a new requirement"),
    ("requirements/headers.yaml", "HDR-01:", "HDR-99:", "requirements/HDR-01", {C}, "is gone"),
    ("requirements/headers.yaml", "checks: [", "checks: [ENV-99, ", "requirements/HDR-01/checks", set(),
     "a binding that passed may fail: ENV-99"),
    ("headers.yaml", "format: HDR-02", "format: HDR-03", "headers/headers/message_id/format", {C},
     "judged as SHOULD, was MUST"),
    ("headers.yaml", "    per_run: true\n", "", "headers/headers/schema_fqdn/per_run", {C}, "within a run"),
    ("checks.yaml", "  ENV-01: {", "  ENV-99: {", "checks/checks/ENV-01", set(), "is gone"),
    ("checks.yaml", "  ENV-01: {", "  ENV-99: {", "checks/checks/ENV-99", set(), "is new"),
    ("services.yaml", "  audit:", "  auditor:", "services/services/auditor", set(), "is new"),
    ("services.yaml", "  audit:", "  auditor:", "services/services/audit", {C, O}, "is gone"),
    ("services.yaml", "    role: ingestion", "    role: ingestion\n    password: x",
     "services/services/databento-cpp/password", {P, C, O}, "nobody has declared"),
    ("domains/orders.yaml", "retention: compliance", "retention: standard", "domains/orders/retention",
     {C, O}, "kept for a shorter time"),
    ("domains/orders.yaml", "tier: execution", "tier: telemetry", "domains/orders/tier", {C},
     "handlers get fewer attempts"),
    ("domains/orders.yaml", "latency: execution", "latency: none", "domains/orders/latency", {C}, "is gone"),
    ("domains/news.yaml", "latency: none", "latency: execution", "domains/news/latency", {O}, "is new"),
    ("domains/fills.yaml", "{ampy.fills.v1.Fill: ", "{ampy.fills.v1.Full: ",
     "domains/fills/aliases/ampy.fills.v1.Full", {C}, "is new"),
    ("domains/bars.yaml", "domain: bars", "domain: candles", "domains/candles", set(), "is new"),
    ("domains/bars.yaml", "domain: bars", "domain: candles", "domains/bars", {P, C, O}, "is gone"),
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


def test_a_change_says_where_it_is(spec_copy: Path) -> None:
    edited(spec_copy, "domains/bars.yaml", "ordering: strict", "\nordering: relaxed")
    edited(spec_copy, "requirements/headers.yaml", "HDR-01:", "HDR-99:")
    edited(spec_copy, "headers.yaml", "  span_id: {", "  a/b: {")
    places = {change.path: change.place for change in compare(SHIPPED, spec_copy).changes}
    lines = (SHIPPED / "headers.yaml").read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if text.startswith("  span_id"))
    assert places == {
        "domains/bars/ordering": "domains/bars.yaml:3",
        "requirements/HDR-01": "requirements/headers.yaml:3",
        "requirements/HDR-99": "requirements/headers.yaml:3",
        "headers/headers/span_id": f"headers.yaml:{line}",
        "headers/headers/a~1b": f"headers.yaml:{line}",
    }


V2 = "  ampy.bars.v2.Bar: {item: ''}\n"
V1 = "  ampy.bars.v1.Bar: {item: ''}\n  ampy.bars.v1.BarBatch: {item: bars}\n"


@pytest.mark.parametrize(
    ("old", "new", "breaks", "topics_stay"),
    [
        (V1, V1 + V2, set(), False),
        (V1, V2, {P, C}, False),
        (V1, V1 + "  ampy.bars.v1.Candle: {item: ''}\n", {C}, False),
        (V1, V1.splitlines()[0] + "\n" + V2, {P, C}, True),
        ("{item: bars}", "{item: candles}", {P, C}, True),
    ],
    ids=["beside", "instead", "one more", "one less", "read otherwise"],
)
def test_a_breaking_payload_asks_for_topics_of_its_own(
    spec_copy: Path, old: str, new: str, breaks: set[Direction], topics_stay: bool
) -> None:
    edited(spec_copy, "domains/bars.yaml", old, new)
    edited(spec_copy, "contract.yaml", "version: 1.0.0", "version: 2.0.0")
    found = compare(SHIPPED, spec_copy)
    assert {whom for change in found.changes for whom in change.breaks} == breaks
    assert bool(found.moved_payloads) == topics_stay
    assert found.sufficient != topics_stay


def described(spec: Path, edit: Callable[[DescriptorProto], object]) -> Path:
    path = spec / "proto/control.binpb"
    files = FileDescriptorSet.FromString(path.read_bytes())
    edit(files.file[-1].message_type[0])
    path.write_bytes(files.SerializeToString())
    return spec


@pytest.mark.parametrize(
    ("edit", "breaks"),
    [
        (lambda message: message.field.add(name="more", number=99, type=9, label=1), set()),
        (lambda message: message.field.__delitem__(0), {P, C}),
        (lambda message: setattr(message.field[0], "type", 3), {P, C}),
        (lambda message: setattr(message.field[0], "label", 3), {P, C}),
        (lambda message: setattr(message.field[0], "number", 77), {P, C}),
    ],
    ids=["added", "gone", "type", "label", "number"],
)
def test_the_fields_of_own_protobuf_types_are_compared(
    spec_copy: Path, edit: Callable[[DescriptorProto], object], breaks: set[Direction]
) -> None:
    found = compare(SHIPPED, described(spec_copy, edit))
    assert found.changes
    assert {whom for change in found.changes for whom in change.breaks} == breaks
    assert bool(found.moved_payloads) == bool(breaks)


def test_what_lies_within_a_message_is_compared_too(tmp_path: Path) -> None:
    files = FileDescriptorSet()
    file = files.file.add(name="a.proto", package="a")
    outer = file.message_type.add(name="Outer")
    outer.oneof_decl.add(name="either")
    outer.field.add(name="one", number=1, type=9, label=1, oneof_index=0)
    outer.field.add(name="may", number=2, type=9, label=1, oneof_index=0, proto3_optional=True)
    outer.field.add(name="inner", number=3, type=11, type_name=".a.Outer.Inner", label=3)
    outer.nested_type.add(name="Inner").field.add(name="x", number=1, type=3, label=1)
    outer.enum_type.add(name="Kind").value.add(name="NONE", number=0)
    file.enum_type.add(name="Side").value.add(name="BUY", number=1)
    (tmp_path / "proto").mkdir()
    (tmp_path / "proto/a.binpb").write_bytes(files.SerializeToString())
    assert messages([tmp_path]) == (
        {
            "a.Side": {"1": "BUY"},
            "a.Outer": {
                "1": "optional string one (one of either)",
                "2": "optional string may (presence)",
                "3": "repeated a.Outer.Inner inner",
            },
            "a.Outer.Kind": {"0": "NONE"},
            "a.Outer.Inner": {"1": "optional int64 x"},
        },
        [],
    )


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
        (("contract.yaml", "contract:", "\ncontract:"), "1.0.0", "none", 0),
        (("contract.yaml", "contract:", "\ncontract:"), "0.9.9", "none", 1),
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
    told = json.loads(capsys.readouterr().out)
    assert (told["asked"], told["sufficient"], told["new_version"]) == (asked, code == 0, version)


def test_what_nobody_declared_breaks_everybody(spec_copy: Path) -> None:
    (spec_copy / "weather.yaml").write_text("sun: 1\n")
    (found,) = compare(SHIPPED, spec_copy).changes
    assert set(found.breaks) == set(Direction)


@pytest.mark.parametrize("content", ["", "- a\n", "version: one\n", "version: 01.0.0\n", "version: [\n"])
def test_a_directory_without_a_contract_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "contract.yaml").write_text(content)
    with pytest.raises(SpecError):
        compare(SHIPPED, tmp_path)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("requirements/zz.yaml", "requirements: [1]\n"),
        ("requirements/zz.yaml", "requirements:\n"),
        ("requirements/zz.yaml", "requirements: {ZZZ-01: 5}\n"),
        ("requirements/zz.yaml", "requirements: {ZZZ-01: {text: a}}\n"),
        ("requirements/zz.yaml", "requirements: {HDR-01: {level: MAY}}\n"),
        ("domains/zz.yaml", "domain: [a]\n"),
        ("domains/zz.yaml", "domain: bars\n"),
        ("domains/zz.yaml", "ordering: strict\n"),
        ("headers.yaml", "headers: {zz: 5}\n"),
        ("domains.yaml", "{}\n"),
        ("proto/zz.binpb", "no descriptor"),
    ],
)
def test_a_spec_of_another_shape_is_refused_with_its_place(
    spec_copy: Path, file: str, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (spec_copy / file).write_text(content)
    assert main(["spec", "diff", str(spec_copy), "shipped"]) == 2
    assert f"at {file}:1" in capsys.readouterr().err


def test_files_from_elsewhere_are_refused(spec_copy: Path, tmp_path: Path) -> None:
    (tmp_path / "slo.yaml").write_text("latency: {}\n")
    (spec_copy / "slo.yaml").unlink()
    (spec_copy / "slo.yaml").symlink_to(tmp_path / "slo.yaml")
    with pytest.raises(SpecError, match="a link out of it"):
        compare(SHIPPED, spec_copy)


def test_an_overlay_is_compared_with_its_base(tmp_path: Path) -> None:
    (tmp_path / "overlay.yaml").write_text(
        "extends: shipped\nreplaces: [delivery.yaml/effects_remembered]\n"
        "suppress: [{requirement: HDR-03, reason: old clients}]\n"
    )
    (tmp_path / "delivery.yaml").write_text("effects_remembered: 5\n")
    found = {change.path: change for change in compare(SHIPPED, tmp_path).changes}
    assert set(found) == {"delivery/effects_remembered", "overlay/suppress"}
    assert found["delivery/effects_remembered"].place == "delivery.yaml:1"
    assert "no longer reported: HDR-03" in found["overlay/suppress"].meaning
