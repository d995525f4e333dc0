"""What works without any extra, and what a command says that needs one."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ampybus_contract.contract import data_directory

ROOT = Path(__file__).resolve().parents[2]
OF_EXTRAS = [
    "aiokafka", "hypothesis", "jinja2", "nats", "obstore", "opentelemetry", "prometheus_client", "pytest",
]  # fmt: skip
BARE = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {OF_EXTRAS!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Refuse())
from ampybus_contract.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def bare(*words: str) -> subprocess.CompletedProcess[str]:
    """The command as one has it who installed the package alone."""
    return subprocess.run(
        [sys.executable, "-c", BARE, *words], capture_output=True, text=True, check=False, timeout=120
    )


def test_every_extra_is_refused_here() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = " ".join(item for items in project["optional-dependencies"].values() for item in items)
    for name in OF_EXTRAS:
        assert name.replace("_", "-") in wanted
        assert name.replace("_", "-") not in " ".join(project["dependencies"])


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["check", "--help"],
        ["mutants", "--help"],
        ["spec", "lint"],
        ["spec", "coverage"],
        ["spec", "diff", "spec", "spec"],
        ["golden", "verify"],
        ["validate", "--quiet", "golden/bars/valid"],
    ],
    ids=" ".join,
)
def test_it_works_without_extras(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(data_directory("spec").parent)
    done = bare(*words)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "words", [["check", "history.jsonl"], ["check", "--list"], ["mutants"]], ids=" ".join
)
def test_what_needs_an_extra_says_which(words: list[str]) -> None:
    done = bare(*words)
    assert done.returncode == 2
    assert "Fix: pip install 'ampybus-contract[conformance]'" in done.stderr
    assert "Traceback" not in done.stderr
