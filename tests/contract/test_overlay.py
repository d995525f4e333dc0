"""The page on own domains works as written; overlays add, and say what they must not do."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import ampybus_contract
from ampybus_contract import Envelope, validate
from ampybus_contract.cli.main import main
from ampybus_contract.contract import data_directory, load_contract
from ampybus_contract.contract.digest import spec_digest
from ampybus_contract.errors import SpecError, SpecProblem
from ampybus_contract.lint import lint

PAGE = (Path(ampybus_contract.__file__).parent / "export/pages/own-domain.md").read_text(encoding="utf-8")
FILES = re.findall(r"```\w+ file=(\S+)\n(.*?)```", PAGE, re.DOTALL)
PROSE = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
COMMANDS = [match.strip() for match in re.findall(r"^    (\S.*)$", PROSE, re.MULTILINE)]
SHIPPED = data_directory("spec")


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    directory = tmp_path / "overlay"
    for name, text in FILES:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    (compile_,) = [command for command in COMMANDS if "protoc" in command]
    words = shlex.split(compile_)[1:]
    subprocess.run([sys.executable, *words], cwd=directory, check=True, timeout=60)
    return directory


@pytest.fixture
def small(tmp_path: Path) -> Path:
    directory = tmp_path / "small"
    directory.mkdir()
    (directory / "overlay.yaml").write_text("extends: shipped\n")
    return directory


def problems(directory: Path) -> list[SpecProblem]:
    with pytest.raises(SpecError) as caught:
        load_contract(directory)
    return caught.value.problems


def test_the_page_is_sound_and_its_examples_print_what_they_say(
    overlay: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lint(overlay) == []
    monkeypatch.chdir(overlay.parent)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    expected = [line.removeprefix("# ") for line in code.splitlines() if line.startswith("# ")]
    output = io.StringIO()
    with contextlib.redirect_stdout(output), pytest.warns(match="example"):
        exec(compile(code, "own-domain.md", "exec"), {})
    assert output.getvalue().splitlines() == expected


@pytest.mark.subprocess
def test_the_commands_of_the_page_work(overlay: Path, golden: Path) -> None:
    fixture = json.loads((golden / "bars/valid/minimal.json").read_text())
    fixture["topic"] = "ampy.dev.risk.v1.limits"
    fixture["headers"] |= {"schema_fqdn": "acme.risk.v1.Limit", "partition_key": "ACC-1"}
    fixture["payload"] = {"account_id": "ACC-1", "amount": "5"}
    (overlay.parent / "limits.json").write_text(json.dumps(fixture))
    for command in COMMANDS:
        program, *words = shlex.split(command)
        if "protoc" in command:
            continue
        start = {"pytest": [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]}.get(
            program, [str(Path(sys.executable).parent / program)]
        )
        done = subprocess.run(
            [*start, *words], cwd=overlay.parent, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        if program == "pytest":
            assert re.search(r"(?m)^\d+ \+ 0 \+ \d+ \+ 0 = (\d+) of \1 checks with a suite", done.stdout)


def test_findings_on_the_own_domain_name_its_rules(overlay: Path, bars: Envelope) -> None:
    contract = load_contract(overlay)
    headers = bars.headers.with_(schema_fqdn="acme.risk.v1.Limit", partition_key="ACC-2")
    wrong = Envelope("ampy.prod.risk.v1.limits", headers, b"\n\x05ACC-1")
    assert {item.requirement for item in validate(wrong, contract)} == {"PKY-01"}
    assert {item.requirement for item in validate(wrong)} == {"TPC-03"}
    assert validate(bars, contract) == []


def test_a_value_of_the_base_is_changed_only_by_permission(small: Path) -> None:
    (small / "headers.yaml").write_text(
        "headers:\n  run_id:\n    pattern: 'run-[0-9]+'\n    example: run-1\n"
    )
    assert [(item.file, item.line, item.path) for item in problems(small)] == [
        ("headers.yaml", 3, "/headers/run_id/pattern"),
        ("headers.yaml", 4, "/headers/run_id/example"),
    ]
    allowed = ["headers.yaml/headers/run_id/pattern", "headers.yaml/headers/run_id/example"]
    (small / "overlay.yaml").write_text(f"extends: shipped\nreplaces: {allowed}\n")
    assert load_contract(small).headers["run_id"].pattern.pattern == "run-[0-9]+"


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "expected a mapping as in the base, got nothing"), ("services: [1]\n", "got a list")],
)
def test_another_shape_than_the_base_is_named_in_one_short_line(small: Path, text: str, says: str) -> None:
    (small / "services.yaml").write_text(text)
    (found,) = problems(small)
    assert says in str(found)
    assert len(str(found)) < 250


def test_a_permission_that_nothing_uses_is_named(small: Path) -> None:
    (small / "overlay.yaml").write_text("extends: shipped\nreplaces: [headers.yaml/headers/run_id/pattern]\n")
    (found,) = problems(small)
    assert (found.file, found.line, found.path) == ("overlay.yaml", 2, "/replaces/0")


@pytest.mark.parametrize(
    ("text", "path", "says"),
    [
        ("extends: nowhere\n", "/extends", "a spec directory"),
        ('extends: "a\\0b"\n', "/extends", "a spec directory"),
        ("extends: " + "a" * 5000 + "\n", "/extends", "a spec directory"),
        ("extends: .\n", "/extends", "a cycle"),
        ("extends: shipped\nmore: 1\n", "/more", "a key out of"),
        ("- a\n", "", "a mapping with 'extends'"),
        ("extends: shipped\nsuppress: [{requirement: NO-99, reason: r}]\n", "/suppress/0/requirement",
         "'NO-99'"),
        ("extends: shipped\nsuppress: [{requirement: HDR-01, reason: r}]\n", "/suppress/0/requirement",
         "a MUST"),
        ("extends: shipped\nsuppress: [{requirement: MET-06, reason: r}]\n", "/suppress/0/requirement",
         "which no envelope violates"),
        ("extends: shipped\nsuppress: [{requirement: HDR-03, reason: r}, {requirement: HDR-03, reason: s}]\n",
         "/suppress/1/requirement", "HDR-03 again"),
    ],
)  # fmt: skip
def test_a_wrong_head_is_named(small: Path, text: str, path: str, says: str) -> None:
    (small / "overlay.yaml").write_text(text)
    found = problems(small)
    assert [item.path for item in found] == [path]
    assert says in str(found[0])
    assert found[0].file == "overlay.yaml"


def test_a_cycle_over_two_directories_ends(small: Path) -> None:
    other = small.parent / "other"
    other.mkdir()
    (other / "overlay.yaml").write_text("extends: ../small\n")
    (small / "overlay.yaml").write_text("extends: ../other\n")
    (found,) = problems(small)
    assert "a cycle" in str(found)


def test_a_suppressed_requirement_is_not_reported(small: Path, bars: Envelope) -> None:
    upper = Envelope(
        bars.topic, bars.headers.with_(message_id=bars.headers["message_id"].upper()), bars.payload
    )
    assert {item.requirement for item in validate(upper)} == {"HDR-03"}
    (small / "overlay.yaml").write_text(
        "extends: shipped\nsuppress: [{requirement: HDR-03, reason: old ids}]\n"
    )
    assert validate(upper, load_contract(small)) == []


def test_overlays_stack_and_the_digest_covers_all_of_them(overlay: Path, small: Path) -> None:
    (small / "overlay.yaml").write_text("extends: ../overlay\n")
    assert "risk" in load_contract(small).domains
    before = spec_digest(small)
    (overlay / "domains/risk.yaml").write_text((overlay / "domains/risk.yaml").read_text() + "# more\n")
    assert spec_digest(small) != before
    assert spec_digest(SHIPPED) not in (before, spec_digest(small))


@pytest.mark.parametrize(("name", "text"), [("header.yaml", "a: 1\n"), ("notes.yml", "b\n")])
def test_a_file_that_the_contract_does_not_have_is_named(small: Path, name: str, text: str) -> None:
    (small / name).write_text(text)
    (found,) = problems(small)
    assert found.file == name


def test_one_proto_name_stands_for_one_content(overlay: Path, small: Path) -> None:
    load_contract(overlay)
    (small / "proto").mkdir()
    data = (overlay / "proto/limit.binpb").read_bytes()
    (small / "proto/limit.binpb").write_bytes(data.replace(b"note", b"memo"))
    (found,) = problems(small)
    assert "another limit.proto than one loaded before" in str(found)
    (small / "proto/limit.binpb").write_bytes(b"\xff\xff")
    assert "a FileDescriptorSet" in str(problems(small)[0])


@pytest.mark.subprocess
def test_an_unknown_domain_for_the_suites_is_a_usage_error(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--ampybus-conformance"]
    done = subprocess.run(
        [*words, "--ampybus-domain", "nosuch"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "a domain with samples, one of bars" in done.stdout + done.stderr


def test_lint_shows_an_overlay_with_its_places(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (small / "services.yaml").write_text("services:\n  ampy-oms: {reads: [fx.v2.>]}\n")
    assert main(["spec", "lint", str(small)]) == 1
    assert "services.yaml:2 (/services/ampy-oms/reads/" in capsys.readouterr().out
