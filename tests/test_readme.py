"""What the README shows is what happens."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
ADAPTER = next(block for block in PYTHON if "class Bus" in block)
OUTPUTS = re.findall(r"<!-- output: (.*?) -->\n```text\n(.*?)```", README, re.DOTALL)
INDENTED = [
    match.strip() for match in re.findall(r"^    ((?:ampybus|pytest|make) .*)$", README, re.MULTILINE)
]


def run(command: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of the README with the tools of this environment."""
    program, *words = shlex.split(command)
    if program == "pytest":
        words = ["-m", "pytest", "-p", "no:randomly", "-p", "no:cacheprovider", *words]
        start = [sys.executable]
    else:
        start = [str(Path(sys.executable).parent / program)]
    return subprocess.run(
        [*start, *words], cwd=directory, capture_output=True, text=True, check=False, timeout=240
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "my_bus.py").write_text(ADAPTER)
    return tmp_path


@pytest.mark.subprocess
@pytest.mark.parametrize(("command", "output"), OUTPUTS, ids=[command for command, _ in OUTPUTS])
def test_the_outputs_are_real(command: str, output: str, project: Path) -> None:
    done = run(command, project)
    assert done.returncode == 0, done.stdout
    assert output in done.stdout


@pytest.mark.subprocess
def test_the_finding_is_real(project: Path) -> None:
    (project / "my_bus.py").write_text(ADAPTER.replace("        check(envelope)\n", ""))
    done = run("pytest --ampybus-conformance --ampybus-binding my_bus:Bus -k TOP-03", project)
    ((_check, shown),) = re.findall(r"<!-- finding: (.*?) -->\n```text\n(.*?)```", README, re.DOTALL)
    assert done.returncode == 1
    assert shown in done.stdout


@pytest.mark.parametrize("mark", ["did you mean", "new_envelope("])
def test_the_service_example_prints_what_it_says(mark: str) -> None:
    code = next(block for block in PYTHON if mark in block)
    expected = [line.removeprefix("# ") for line in code.splitlines() if line.startswith("# ")]
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(code, "README.md", "exec"), {})
    assert output.getvalue().splitlines() == expected


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands work: the goldens, and what commands before them write."""
    path = tmp_path_factory.mktemp("readme")
    (path / "golden").symlink_to(ROOT / "golden")
    for text in INDENTED:
        if "--ampybus-report" in text or "--ampybus-history" in text:
            assert run(text, path).returncode == 0
    return path


@pytest.mark.subprocess
@pytest.mark.parametrize("command", [text for text in INDENTED if text.startswith("ampybus ")])
def test_the_commands_work(command: str, directory: Path) -> None:
    assert run(command, directory).returncode == 0


@pytest.mark.parametrize("command", [text for text in INDENTED if text.startswith("make ")])
def test_the_make_targets_exist(command: str) -> None:
    assert f"\n{command.removeprefix('make ')}: " in (ROOT / "Makefile").read_text()


def test_the_adapter_is_about_thirty_lines() -> None:
    assert len(ADAPTER.splitlines()) <= 45
