"""The identity of a spec directory, for reports that name what they judged by."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ampybus_contract.contract.files import data_directory
from ampybus_contract.contract.overlay import bases


def spec_digest(directory: Path) -> str:
    """``sha256:`` and 64 hex digits over the names and bytes of all files of a spec directory.

    For an overlay, over those of its bases as well.
    """
    whole = hashlib.sha256()
    for base in bases(directory, data_directory("spec")):
        for path in sorted(path for path in base.rglob("*") if path.is_file()):
            name = path.relative_to(base).as_posix().encode()
            whole.update(hashlib.sha256(name).digest() + hashlib.sha256(path.read_bytes()).digest())
        whole.update(hashlib.sha256(b"").digest())
    return f"sha256:{whole.hexdigest()}"
