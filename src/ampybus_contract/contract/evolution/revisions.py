"""Where a version of the spec lies: a directory, the shipped one, or a revision of this git repository."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ampybus_contract.contract.files import data_directory
from ampybus_contract.errors import RevisionError

SHIPPED = "shipped"
FOLDER = "spec"
SECONDS = 60.0
LONGEST = 1000


@contextmanager
def spec_at(name: str) -> Iterator[Path]:
    """The spec directory that a word names: a path, ``shipped``, or a tag, branch or commit.

    A revision is read from the repository of the working directory, from its folder ``spec``, or from what
    follows a colon; nothing is fetched. Raises RevisionError.
    """
    if name == SHIPPED:
        yield data_directory(FOLDER)
    elif _is_directory(name):
        yield Path(name)
    else:
        with TemporaryDirectory(prefix="ampybus-spec-") as directory:
            yield _checked_out(name, Path(directory))


def _is_directory(name: str) -> bool:
    try:
        return bool(name) and Path(name).is_dir()
    except (OSError, ValueError):
        return False


def _checked_out(name: str, directory: Path) -> Path:
    revision, colon, folder = name.partition(":")
    folder = (folder if colon else FOLDER).strip("/")
    if not revision or not name.isprintable() or len(name) > LONGEST:
        raise _unknown(name, "no revision")
    if name.startswith("-"):
        raise _unknown(name, "an option")
    found = _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if found.returncode != 0:
        raise _unknown(name, _said(found) or "neither a directory nor a revision")
    commit = found.stdout.decode().strip()
    top = _git("rev-parse", "--show-toplevel").stdout.decode().strip()
    packed = _git("-C", top, "archive", "--format=tar", commit, "--", folder)
    if packed.returncode != 0:
        raise _unknown(name, _said(packed))
    try:
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
            archive.extractall(directory, filter="data")
    except (tarfile.TarError, OSError) as error:
        raise _unknown(name, f"a revision that cannot be unpacked: {error}") from error
    return directory / folder


def _git(*words: str) -> subprocess.CompletedProcess[bytes]:
    """Run git without a shell, and without a network: a partial clone would fetch what it lacks."""
    alone = os.environ | {"GIT_ALLOW_PROTOCOL": "none", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        return subprocess.run(["git", *words], capture_output=True, check=False, timeout=SECONDS, env=alone)
    except FileNotFoundError as error:
        fix = "install git, or name directories"
        raise RevisionError(f"REVISION expected git, it is not installed. Fix: {fix}") from error
    except subprocess.TimeoutExpired as error:
        fix = "look at the repository"
        raise RevisionError(
            f"REVISION expected git to answer in {SECONDS:g} s, it did not. Fix: {fix}"
        ) from error


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    """The first line that git complained with."""
    return done.stderr.decode(errors="replace").strip().partition("\n")[0][:200]


def _unknown(name: str, got: str) -> RevisionError:
    return RevisionError(
        f"REVISION expected a spec directory, {SHIPPED}, or a git revision with {FOLDER}/, "
        f"got {name[:80]!r}: {got}. "
        "Fix: name a path, or a tag, branch or commit of this repository"
    )
