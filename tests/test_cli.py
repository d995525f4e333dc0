"""The command as a user meets it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from ampybus_contract.cli import fixture_files
from ampybus_contract.cli.main import main
from ampybus_contract.contract import default_contract

ROOT = Path(__file__).resolve().parents[1]


def test_valid_goldens_pass(golden: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(golden / "bars/valid")]) == 0
    assert "4 valid, 0 invalid, 0 unreadable" in capsys.readouterr().out


def test_json_has_one_object_a_line(golden: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = golden / "bars/invalid/HDR-07-offset.json"
    assert main(["validate", str(path), "--format", "json"]) == 1
    row = json.loads(capsys.readouterr().out)
    assert (row["file"], row["valid"]) == (str(path), False)
    assert set(row["findings"][0]) == {
        "requirement", "level", "where", "message", "expected", "got", "hint"
    }  # fmt: skip


def test_github_annotations_name_the_file(golden: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["validate", str(golden / "bars/invalid/HDR-03-upper-case.json"), "--format", "github"])
    assert capsys.readouterr().out.startswith("::warning file=")


def test_unreadable_input_is_named_and_the_rest_is_judged(
    golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "junk.json").write_bytes(bytes(range(256)))
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "deep.json").write_text("[" * 200_000)
    good = str(golden / "bars/valid/typical.json")
    assert main(["validate", str(tmp_path), str(tmp_path / "missing.json"), good]) == 2
    out = capsys.readouterr().out
    assert "1 valid, 0 invalid, 5 unreadable" in out


def test_an_endless_line_is_refused_and_the_next_is_judged(
    golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fixture_files, "MAX_DOCUMENT_BYTES", 4096)
    good = json.dumps(json.loads((golden / "bars/valid/minimal.json").read_text()))
    path = tmp_path / "archive.jsonl"
    path.write_text("x" * 20_000 + "\n" + good + "\n")
    assert main(["validate", str(path)]) == 2
    out = capsys.readouterr().out
    assert f"{path}:1: unreadable" in out
    assert f"{path}:2: valid" in out


def test_standard_input_is_json_lines(
    golden: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = json.dumps(json.loads((golden / "orders/valid/minimal.json").read_text())).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(line + b"\n" + line)))
    assert main(["validate", "-"]) == 0
    assert "2 valid" in capsys.readouterr().out


@pytest.mark.parametrize("spelling", ["payload_b64", "payload_base64", "payload_json"])
def test_every_spelling_is_read(golden: Path, tmp_path: Path, spelling: str) -> None:
    value = json.loads((golden / "bars/valid/typical.json").read_text())
    del value["payload"]
    value[spelling] = {"any": "thing"} if spelling == "payload_json" else ""
    (tmp_path / "one.json").write_text(json.dumps(value))
    assert main(["validate", str(tmp_path)]) == 0


def test_spec_lint_names_the_problem(spec_copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spec", "lint", str(spec_copy)]) == 0
    (spec_copy / "contract.yaml").write_text("contract: other\n")
    assert main(["spec", "lint", str(spec_copy)]) == 1
    assert "contract.yaml:1 (/contract)" in capsys.readouterr().out


def test_an_installed_wheel_judges_outside_the_checkout(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)],
        check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "clean", with_pip=True)
    python = tmp_path / "clean/bin/python"
    subprocess.run(
        [python, "-m", "pip", "install", "-q", "-c", str(ROOT / ".constraints.txt"), f"{wheel}[conformance]"],
        check=True, capture_output=True,
    )  # fmt: skip
    code = "from ampybus_contract.contract import data_directory as d; print(d('golden'))"
    goldens = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path)
    assert str(tmp_path) in goldens.stdout
    done = subprocess.run(
        [tmp_path / "clean/bin/ampybus", "validate", f"{goldens.stdout.strip()}/bars/valid"],
        check=False, capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "4 valid, 0 invalid, 0 unreadable" in done.stdout
    for words in ([], ["--ampybus-binding", "nats"]):
        judged = subprocess.run(
            [tmp_path / "clean/bin/pytest", "--ampybus-conformance", *words],
            check=False, capture_output=True, text=True, cwd=tmp_path,
        )  # fmt: skip
        assert judged.returncode == 0, judged.stdout
        count = len(default_contract().judged)
        assert f"= {count} of {count} checks with a suite" in judged.stdout
