"""The code follows the YAML, and broken YAML is refused with its place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ampybus_contract import Envelope, validate
from ampybus_contract.contract import load_contract
from ampybus_contract.errors import SpecError, SpecProblem


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def problems(directory: Path) -> list[SpecProblem]:
    with pytest.raises(SpecError) as caught:
        load_contract(directory)
    return caught.value.problems


def test_a_new_header_pattern_is_followed(spec_copy: Path, bars: Envelope) -> None:
    rule = "run_id: {required: HDR-01, format: HDR-08, pattern: "
    edit(spec_copy / "headers.yaml", rule + "'[^\\r\\n\\x00]+'", rule + "'run-[0-9]+'")
    found = validate(bars, load_contract(spec_copy))
    assert [(item.requirement, item.where) for item in found] == [("HDR-08", "headers.run_id")]


def test_another_key_formula_is_followed(spec_copy: Path, bars: Envelope) -> None:
    edit(spec_copy / "domains/bars.yaml", "'{mic}.{symbol}'", "'{symbol}.{mic}'")
    contract = load_contract(spec_copy)
    assert {item.requirement for item in validate(bars, contract)} == {"PKY-01"}
    assert validate(replace(bars, headers=bars.headers.with_(partition_key="AAPL.XNAS")), contract) == []


def test_a_new_domain_is_followed(spec_copy: Path, bars: Envelope) -> None:
    text = (spec_copy / "domains/bars.yaml").read_text().replace("domain: bars", "domain: candles")
    (spec_copy / "domains/candles.yaml").write_text(text)
    envelope = replace(bars, topic="ampy.prod.candles.v1.XNAS.AAPL")
    assert validate(envelope, load_contract(spec_copy)) == []
    assert {item.requirement for item in validate(envelope)} == {"TPC-03"}


def test_all_problems_come_at_once_with_file_line_path_and_fix(spec_copy: Path) -> None:
    edit(spec_copy / "domains/bars.yaml", "ordering: strict", "ordering: sometimes")
    edit(spec_copy / "headers.yaml", "name_pattern:", "nome_pattern:")
    found = problems(spec_copy)
    assert {(item.file, item.line, item.path) for item in found} == {
        ("domains/bars.yaml", 2, "/ordering"),
        ("headers.yaml", 1, ""),
        ("headers.yaml", 1, "/nome_pattern"),
    }
    assert all(item.fix and item.expected and item.got for item in found)


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("domains/bars.yaml", "domain: bars", "domain: [bars", "YAML"),
        ("domains/bars.yaml", "ordering: strict", "ordering: strict\nordering: relaxed", "each key once"),
        ("domains/bars.yaml", "domain: bars", "domain: !!python/name:os.system x", "plain data"),
        ("domains/bars.yaml", "domain: bars", "domain: &a [*a]", "finite tree"),
        ("domains/bars.yaml", "(?P<mic>", "(?P<mic", "regular expression"),
        ("domains/bars.yaml", "'{mic}.{symbol}'", "'{mic.__class__}'", "declared components"),
        ("domains/bars.yaml", "domain: bars", "domain: orders", "declared once"),
        ("headers.yaml", "format: HDR-02", "format: HDR-99", "declared requirement"),
    ],
)
def test_a_broken_spec_is_refused(spec_copy: Path, file: str, old: str, new: str, says: str) -> None:
    edit(spec_copy / file, old, new)
    assert any(says in item.expected for item in problems(spec_copy))


def test_delivery_rules_are_read_in_seconds(spec_copy: Path) -> None:
    edit(spec_copy / "delivery.yaml", "backoff_max_ms: 1000", "backoff_max_ms: 2500")
    edit(spec_copy / "delivery.yaml", "attempts: 5", "attempts: 7")
    retry = load_contract(spec_copy).retry_of("orders")
    assert (retry.attempts, retry.backoff_max) == (7, 2.5)


def test_what_departs_from_a_schema_is_said_in_words(spec_copy: Path) -> None:
    edit(spec_copy / "headers.yaml", "name_pattern: '[a-z][a-z0-9_]*'", "name_patern: [1]\nvalue_pattern: 3")
    edit(spec_copy / "headers.yaml", "value_pattern: '", "zzz: '")
    edit(spec_copy / "delivery.yaml", "attempts: ", "attempts: x")
    edit(spec_copy / "domains/bars.yaml", "ordering: strict", "ordering: sometimes")
    said = {(item.path, item.expected, item.got, item.fix) for item in problems(spec_copy)}
    known = "a key out of name_pattern, value_pattern, requirements, headers"
    assert ("/name_patern", known, "'name_patern'", "write 'name_pattern', or remove the key") in said
    assert ("/zzz", known, "'zzz'", "remove the key") in said
    assert ("/value_pattern", "a text", "3", "compare with schema/headers.schema.json") in said
    assert any(got == "no name_pattern" for _, _, got, _ in said)
    assert any(expected == "a whole number" and got.startswith("'x") for _, expected, got, _ in said)
    assert any(expected.startswith("one of strict") and got == "'sometimes'" for _, expected, got, _ in said)


def test_a_file_of_requirements_that_cannot_be_read_hides_no_others(spec_copy: Path) -> None:
    file = spec_copy / "requirements/headers.yaml"
    file.write_text(file.read_text() + "\n  HDR-01: {}\n")
    (found,) = problems(spec_copy)
    assert (found.expected, found.file) == ("each key once", "requirements/headers.yaml")
