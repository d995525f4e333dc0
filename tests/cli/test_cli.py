"""The command as a user meets it."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import tracemalloc
import venv
import zipfile
from pathlib import Path

import pytest

from ampybus_contract.benchmark.traffic import archive_lines
from ampybus_contract.cli import fixture_files
from ampybus_contract.cli.main import main
from ampybus_contract.contract import default_contract

ROOT = Path(__file__).resolve().parents[2]


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


@pytest.mark.subprocess
@pytest.mark.timeout(300)
def test_an_installed_wheel_judges_outside_the_checkout(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)],
        check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    pages = {f"ampybus_contract/export/pages/{name}" for name in ("reports.md", "report.png")}
    assert pages < {*zipfile.ZipFile(wheel).namelist()}
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
    for words in ([], ["--ampybus-binding", "nats", "--ampybus-effort", "quick"]):
        judged = subprocess.run(
            [tmp_path / "clean/bin/pytest", "--ampybus-conformance", *words],
            check=False, capture_output=True, text=True, cwd=tmp_path,
        )  # fmt: skip
        assert judged.returncode == 0, judged.stdout
        count = len(default_contract().judged)
        assert f"= {count} of {count} checks with a suite" in judged.stdout


def archive(path: Path, count: int, invalid_every: int = 0) -> list[str]:
    lines = list(archive_lines(count, default_contract(), invalid_every))
    path.write_text("\n".join(lines) + "\n")
    return lines


@pytest.mark.parametrize("more", [[], ["--headers-only"]])
def test_jobs_give_the_same_output_in_the_same_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    path = tmp_path / "archive.jsonl"
    archive(path, 2500, invalid_every=1200)
    path.write_text(path.read_text() + "no json\n")
    for style in ("json", "text", "github"):
        outputs = []
        for jobs in ("1", "2"):
            assert main(["validate", str(path), "--format", style, "--jobs", jobs, *more]) == 2
            outputs.append(capsys.readouterr().out)
        assert outputs[0] == outputs[1]
        assert f"{path}:1200" in outputs[0] or "line=1200" in outputs[0]
    assert main(["validate", str(path), "--quiet"]) == 2
    out = capsys.readouterr().out
    assert "2498 valid, 2 invalid, 1 unreadable" in out
    assert out.count(": INVALID") == 2
    assert ": valid" not in out


def test_many_clean_envelopes_are_counted_after_the_first_thousand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive(tmp_path / "archive.jsonl", 1300)
    assert main(["validate", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert out.count(": valid") == 1000
    assert "300 more without a finding\n1300 valid, 0 invalid, 0 unreadable" in out


def test_headers_only_leaves_the_payload_unread(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = json.loads(archive(tmp_path / "archive.jsonl", 1)[0])
    (tmp_path / "archive.jsonl").write_text(json.dumps({**row, "payload_b64": "/w=="}))
    assert main(["validate", str(tmp_path)]) == 1
    assert main(["validate", str(tmp_path), "--headers-only"]) == 0
    row["headers"]["partition_key"] = "XNAS.OTHER"
    (tmp_path / "archive.jsonl").write_text(json.dumps(row))
    assert main(["validate", str(tmp_path), "--headers-only"]) == 1
    assert "PKY-01" in capsys.readouterr().out


def test_progress_and_rate_go_to_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive(tmp_path / "archive.jsonl", 1500)
    main(["validate", str(tmp_path / "archive.jsonl"), "--quiet", "--progress"])
    captured = capsys.readouterr()
    assert captured.out == "1500 valid, 0 invalid, 0 unreadable\n"
    assert "envelopes, " in captured.err
    assert captured.err.endswith(" a second\n")


def test_memory_does_not_grow_with_the_archive(tmp_path: Path) -> None:
    peaks = []
    for count in (4_000, 24_000):
        path = tmp_path / "archive.jsonl"
        archive(path, count)
        tracemalloc.start()
        assert main(["validate", str(path), "--headers-only", "--quiet"]) == 0
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 2_000_000


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_reader_that_leaves_ends_the_run_quietly(tmp_path: Path, jobs: str) -> None:
    path = tmp_path / "archive.jsonl"
    archive(path, 6000)
    command = [sys.executable, "-m", "ampybus_contract.cli.main", "validate", str(path), "--format", "json"]
    with subprocess.Popen(
        [*command, "--jobs", jobs], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(60) == 4


def test_an_interrupt_ends_the_run_with_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-u", "-m", "ampybus_contract.cli.main", "validate", "-", "--format", "json"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(archive(tmp_path / "archive.jsonl", 1)[0] + "\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["valid"]
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read() == "ampybus: interrupted\n"


def test_a_line_that_is_too_long_keeps_the_numbers_of_the_others(
    golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ampybus_contract.cli.fixture_files.MAX_DOCUMENT_BYTES", 4000)
    monkeypatch.setattr("ampybus_contract.cli.fixture_files.BYTES_IN_CHUNK", 2500)
    good = json.dumps(json.loads((golden / "bars/valid/minimal.json").read_text()))
    assert len(good) < 1000
    lines = [good, good, "x" * 9000, good, "", "{", good]
    path = tmp_path / "archive.jsonl"
    path.write_text("\n".join(lines))
    assert main(["validate", str(path)]) == 2
    out = capsys.readouterr().out
    assert [line.split(":")[1] for line in out.splitlines()[:-1]] == ["1", "2", "3", "4", "6", "7"]
    assert "4 valid, 0 invalid, 2 unreadable" in out
