"""A spec is untrusted input: no string in it becomes code, a format, or a burden without bounds."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings

from ampybus_contract import Envelope, validate
from ampybus_contract.contract import load_contract
from ampybus_contract.contract.yaml_source import MOST_BYTES, read_yaml
from ampybus_contract.errors import AmpyBusError, SpecError
from ampybus_contract.strategies import envelopes

ATTACKS = [
    "{mic.__class__}", "{0}", "{}", "%s", "%(mic)s", "{mic!r:>1000000000}", "{{7*7}}", "${mic}", "f'{mic}'",
    "__import__('os').system('false')", "{mic}{mic.__init__.__globals__}", "\\N{DIGIT ONE}",
]  # fmt: skip


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize("text", ATTACKS)
def test_a_key_formula_is_replacement_and_nothing_else(spec_copy: Path, bars: Envelope, text: str) -> None:
    quoted = text.replace("'", "''")
    edit(spec_copy / "domains/bars.yaml", "'{mic}.{symbol}'", f"'{{mic}}.{{symbol}}{quoted}'")
    try:
        contract = load_contract(spec_copy)
    except SpecError as error:
        assert all(item.file == "domains/bars.yaml" for item in error.problems)
        return
    key = f"XNAS.AAPL{text.replace('{mic}', 'XNAS')}"
    wrong = [item for item in validate(bars, contract) if item.requirement == "PKY-01"]
    assert wrong and key in wrong[0].expected
    assert validate(replace(bars, headers=bars.headers.with_(partition_key=key)), contract) == []


@pytest.mark.parametrize("text", ATTACKS)
def test_texts_and_examples_come_out_as_they_are(spec_copy: Path, bars: Envelope, text: str) -> None:
    quoted = text.replace("'", "''")
    edit(spec_copy / "headers.yaml", "example: live_0912", f"example: '{quoted}'")
    contract = load_contract(spec_copy)
    found = validate(replace(bars, headers=bars.headers.with_(run_id=None)), contract)
    assert any(text in item.expected for item in found)


@pytest.mark.parametrize("text", ATTACKS)
def test_templates_of_strategies_stay_texts(spec_copy: Path, text: str) -> None:
    quoted = text.replace("'", "''")
    edit(
        spec_copy / "payloads.yaml",
        "run_id: {template: 'run_{n}'}",
        f"run_id: {{template: '{quoted}-{{n}}'}}",
    )
    contract = load_contract(spec_copy)

    @settings(max_examples=5, deadline=None, database=None)
    @given(envelopes("bars", contract=contract))
    def judge(envelope: Envelope) -> None:
        assert re.fullmatch(re.escape(text) + r"-\d+", envelope.headers["run_id"])

    judge()


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system ['false']",
        "!!python/name:os.system ''",
        "!!binary aGk=",
        "!include /etc/hostname",
        "!!set {a, b}",
    ],
)
def test_tags_build_nothing(spec_copy: Path, text: str) -> None:
    edit(spec_copy / "domains/bars.yaml", "ordering: strict", f"ordering: {text}")
    with pytest.raises(SpecError, match=r"plain data|YAML"):
        load_contract(spec_copy)


@pytest.mark.parametrize("number", [".nan", ".inf", "-.inf", "1e999"])
def test_numbers_are_finite(spec_copy: Path, number: str) -> None:
    edit(spec_copy / "delivery.yaml", "backoff_factor: 2", f"backoff_factor: {number}")
    with pytest.raises(SpecError):
        load_contract(spec_copy)


def test_aliases_of_aliases_do_not_fill_the_memory(spec_copy: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    (spec_copy / "samples.yaml").write_text("\n".join(lines))
    with pytest.raises(SpecError, match="at most 50000 values"):
        load_contract(spec_copy)


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "{a: " * 20_000, "- " * 50_000 + "x", "x" * (MOST_BYTES + 1), "\x00", "\ufeff", ""],
)
def test_what_no_person_writes_is_a_problem_and_no_traceback(spec_copy: Path, text: str) -> None:
    (spec_copy / "samples.yaml").write_text(text)
    with pytest.raises(AmpyBusError):
        load_contract(spec_copy)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[ #]\n" * 100_000, "a nesting of at most 100"),
        ('[ "]", ' * 100_000, "a nesting of at most 100"),
        ("a: " + "9" * 5000, "a value of type int"),
        ("a: " + "9" * 400, "a whole number up to"),
        ("a: 0x" + "f" * 9000, "a whole number up to"),
        ("a: !!int foo", "a value of type int"),
        ("a: !!bool foo", "a value of type bool"),
        ("a: !!float ''", "a value of type float"),
        ('? "' + "k" * 2_000_000 + '"\n: [' + "x, " * 100_000 + "]", "a path of at most"),
        ("&a [*a]", "an alias within itself"),
        ("a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 900)), "by aliases"),
        ("[{}" + ", 1" * 3000 + "]", "at most 2000 items"),
        ("? [a, b]\n: 1", "a text as key"),
    ],
    ids=lambda text: text[:12],
)
def test_what_could_end_the_process_or_a_parser_is_a_problem_with_its_place(
    tmp_path: Path, text: str, says: str
) -> None:
    (tmp_path / "odd.yaml").write_text(text)
    with pytest.raises(SpecError, match=says):
        read_yaml(tmp_path / "odd.yaml", "odd.yaml")


def test_a_pipe_in_place_of_a_file_is_not_waited_for(spec_copy: Path) -> None:
    (spec_copy / "samples.yaml").unlink()
    os.mkfifo(spec_copy / "samples.yaml")
    with pytest.raises(SpecError, match="a folder, pipe or device"):
        load_contract(spec_copy)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_descriptors_are_plain_files(spec_copy: Path, make: Callable[[Path], None]) -> None:
    make(spec_copy / "proto/more.binpb")
    with pytest.raises(SpecError, match="a file of at most"):
        load_contract(spec_copy)


def test_descriptors_are_not_linked_from_elsewhere(spec_copy: Path, tmp_path: Path) -> None:
    outside = (spec_copy / "proto/control.binpb").rename(tmp_path / "control.binpb")
    (spec_copy / "proto/control.binpb").symlink_to(outside)
    with pytest.raises(SpecError, match="a link out of it"):
        load_contract(spec_copy)


def test_a_link_out_of_the_directory_is_not_followed(spec_copy: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.yaml"
    outside.write_text((spec_copy / "samples.yaml").read_text())
    (spec_copy / "samples.yaml").unlink()
    (spec_copy / "samples.yaml").symlink_to(outside)
    with pytest.raises(SpecError, match="a link out of it"):
        load_contract(spec_copy)


def test_a_pattern_that_explodes_never_meets_an_envelope(spec_copy: Path) -> None:
    edit(spec_copy / "headers.yaml", "pattern: application/x-protobuf", "pattern: '(a+)+b'")
    with pytest.raises(SpecError, match="exponential backtracking"):
        load_contract(spec_copy)


def test_problems_of_all_files_come_at_once(spec_copy: Path) -> None:
    edit(spec_copy / "headers.yaml", "format: HDR-02", "format: HDR-99")
    edit(spec_copy / "domains/bars.yaml", "ordering: strict", "ordering: sometimes")
    edit(spec_copy / "domains/fx.yaml", "tier: market_data", "tier: nosuch")
    edit(spec_copy / "slo.yaml", "availability:", "availablity:")
    (spec_copy / "logs.yaml").write_text("fields: [")
    with pytest.raises(SpecError) as caught:
        load_contract(spec_copy)
    files = {item.file for item in caught.value.problems}
    assert {"headers.yaml", "domains/bars.yaml", "slo.yaml", "logs.yaml"} <= files
