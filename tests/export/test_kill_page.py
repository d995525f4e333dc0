"""The published kill matrix is of the mutants and checks that are there, and shows what is missing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ampybus_contract.cli import kills
from ampybus_contract.cli.main import main
from ampybus_contract.contract import default_contract
from ampybus_contract.export.kill_page import DATA, PAGE, as_json, as_markdown, from_dict
from ampybus_contract.harness.kill_matrix import Kill, KillMatrix, ground, kill, shortcomings, without_killer
from ampybus_contract.harness.mutants import mutants
from ampybus_contract.harness.verdicts import Verdict

CONTRACT = default_contract()
PUBLISHED = from_dict(json.loads(DATA.read_text(encoding="utf-8")))


def test_the_published_matrix_is_of_all_mutants_and_checks() -> None:
    assert [(item.mutant, item.check) for item in PUBLISHED.kills] == [
        (item.name, item.check) for item in mutants(CONTRACT)
    ]
    assert list(PUBLISHED.control) == list(CONTRACT.judged)
    assert as_markdown(CONTRACT, PUBLISHED) == PAGE.read_text(encoding="utf-8")
    assert as_json(CONTRACT, PUBLISHED) == DATA.read_text(encoding="utf-8")


def test_nothing_is_short_in_the_published_matrix() -> None:
    assert list(shortcomings(CONTRACT, PUBLISHED)) == []


def test_every_must_has_a_killer_or_a_reason() -> None:
    unkilled = dict(without_killer(CONTRACT, PUBLISHED))
    for name, rule in CONTRACT.requirements.items():
        if rule.level == "MUST":
            assert PUBLISHED.killers(rule.checks) or unkilled[name].startswith(("no check: ", "planned: "))


@pytest.mark.parametrize("header", [name for name, rule in CONTRACT.headers.items() if rule.required])
def test_each_required_header_has_a_mutant_that_drops_it(header: str) -> None:
    assert any(item.check == "ENV-01" and item.mutant == f"drops {header}" for item in PUBLISHED.kills)


def test_a_survivor_a_missing_mutant_and_a_failing_control_are_named() -> None:
    survivor = replace(PUBLISHED.kills[0], verdict=Verdict.PASS)
    few = tuple(item for item in PUBLISHED.kills if item.check != "DLQ-08")
    control = {**PUBLISHED.control, "ENV-02": Verdict.FAIL}
    said = "\n".join(shortcomings(CONTRACT, KillMatrix("memory", control, (survivor, *few[1:]))))
    assert f"expected 'fail' for the mutant {survivor.mutant!r}, got pass" in said
    assert "DLQ-08: expected 1 mutants as the spec lists, got 0" in said
    assert "NO MUTANT KILLED by DLQ-08" in said
    assert "ENV-02: expected the unbroken binding to pass, got fail" in said


def test_one_mutant_against_the_whole_suite_is_as_published() -> None:
    (mutant,) = [item for item in mutants(CONTRACT) if item.name == "cuts the bytes of a dead letter"]
    (published,) = [item for item in PUBLISHED.kills if item.mutant == mutant.name]
    with ground("memory", CONTRACT) as place:
        assert kill(CONTRACT, place, mutant) == published
        assert kill(CONTRACT, place, mutant, alone=True) == Kill(mutant.name, "DLQ-03", Verdict.FAIL, ())


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["-k", "omits blob_size", "--alone", "--jobs", "1"], 0, "1 of 1 mutants killed by their own check"),
        (["-k", "no such mutant"], 2, "no mutant has 'no such mutant'"),
        (["-k", "DLQ", "--publish"], 2, "--publish takes the whole matrix"),
    ],
)
def test_the_command_takes_a_filter(
    capsys: pytest.CaptureFixture[str], words: list[str], code: int, says: str
) -> None:
    assert main(["mutants", *words]) == code
    out = capsys.readouterr()
    assert says in out.out + out.err


def test_a_matrix_is_not_written_where_there_is_no_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["mutants", "--json", str(tmp_path / "none/matrix.json")]) == 2
    assert "expected a directory" in capsys.readouterr().err


def test_what_differs_from_the_published_matrix_is_named() -> None:
    other = replace(PUBLISHED.kills[0], others=(*PUBLISHED.kills[0].others[1:], "AUD-04"))
    assert kills.differences(PUBLISHED.kills) == []
    assert kills.differences([other]) == [
        f" for ENV-01 {other.mutant!r}, got another page: ['AUD-04'] failed too, "
        f"['{PUBLISHED.kills[0].others[0]}'] did not"
    ]
