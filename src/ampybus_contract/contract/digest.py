"""The identity of a spec directory, for reports that name what they judged by."""

from __future__ import annotations

import hashlib
from pathlib import Path


def spec_digest(directory: Path) -> str:
    """``sha256:`` and 64 hex digits over the names and bytes of all files below a spec directory."""
    whole = hashlib.sha256()
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        name = path.relative_to(directory).as_posix().encode()
        whole.update(hashlib.sha256(name).digest() + hashlib.sha256(path.read_bytes()).digest())
    return f"sha256:{whole.hexdigest()}"
