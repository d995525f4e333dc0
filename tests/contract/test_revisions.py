"""Versions of the contract are found in directories and in the git repository here, and nowhere else."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from ampybus_contract.cli.main import main
from ampybus_contract.contract import data_directory
from ampybus_contract.contract.evolution import compare, spec_at
from ampybus_contract.errors import RevisionError

SHIPPED = data_directory("spec")
pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(directory: Path, *words: str) -> None:
    identity = ["-c", "user.name=n", "-c", "user.email=n@e.example", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *words], cwd=directory, check=True, capture_output=True, timeout=60)


def test_tags_and_commits_are_read_from_the_repository_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(SHIPPED, tmp_path / "spec")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    git(tmp_path, "tag", "v1.0.0")
    bars = tmp_path / "spec/domains/bars.yaml"
    bars.write_text(bars.read_text().replace("ordering: strict", "ordering: relaxed"))
    git(tmp_path, "commit", "-qam", "two")
    monkeypatch.chdir(tmp_path / "spec")
    assert main(["spec", "diff", "v1.0.0", "HEAD"]) == 1
    assert "BREAKS consumers: domains/bars/ordering" in capsys.readouterr().out
    assert main(["spec", "diff", "HEAD~1:spec", "v1.0.0"]) == 0


def test_nothing_is_fetched_for_a_comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, part = tmp_path / "whole", tmp_path / "part"
    shutil.copytree(SHIPPED, whole / "spec")
    git(whole, "init", "-q")
    git(whole, "config", "uploadpack.allowFilter", "true")
    git(whole, "add", ".")
    git(whole, "commit", "-qm", "one")
    git(tmp_path, "clone", "-q", "--no-checkout", "--filter=blob:none", whole.as_uri(), str(part))
    monkeypatch.chdir(part)
    with pytest.raises(RevisionError, match="REVISION expected"), spec_at("HEAD"):
        pass
    git(part, "checkout", "-q", "HEAD")
    with spec_at("HEAD") as found:
        assert compare(SHIPPED, found).changes == ()


def test_a_link_out_of_the_revision_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(SHIPPED, tmp_path / "spec")
    (tmp_path / "spec/slo.yaml").unlink()
    (tmp_path / "spec/slo.yaml").symlink_to("/etc/hostname")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RevisionError, match="cannot be unpacked"), spec_at("HEAD"):
        pass


def test_without_git_only_directories_are_compared(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert main(["spec", "diff", "shipped", str(SHIPPED)]) == 0
    assert main(["spec", "diff", "shipped", "HEAD"]) == 2
    assert "git, it is not installed" in capsys.readouterr().err


def test_outside_a_repository_git_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RevisionError, match="not a git repository"), spec_at("HEAD"):
        pass


@pytest.mark.parametrize(
    ("name", "got"),
    [
        ("nosuch", "neither a directory nor a revision"),
        ("--since=2020", "an option"),
        ("-h", "an option"),
        ("HEAD:../..", "outside repository"),
        ("", "no revision"),
        (":spec", "no revision"),
        ("HEAD:nosuch", "did not match any files"),
        ("HEAD:-x", "did not match any files"),
        ("x" * 200_000, "no revision"),
        ("a\0b", "no revision"),
    ],
    ids=lambda text: repr(text[:20]),
)
def test_what_is_no_version_is_a_usage_error(
    name: str, got: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    monkeypatch.chdir(tmp_path)
    assert main(["spec", "diff", "shipped", "--", name]) == 2
    said = capsys.readouterr().err
    assert "REVISION expected a spec directory" in said
    assert got in said
