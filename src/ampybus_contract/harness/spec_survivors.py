"""Changes of the spec that nothing notices, each with a reason: ``spec_survivors.yaml``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import yaml

FILE = Path(__file__).with_suffix(".yaml")


@cache
def explanations() -> Mapping[str, str]:
    """The reason by the pattern of the changes that it is for."""
    data = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return {item["changes"]: item["reason"] for item in data["survivors"]}


def explained(name: str, known: Mapping[str, str]) -> str | None:
    """Why nothing notices a change, or None where nobody has said."""
    return next((reason for pattern, reason in known.items() if fnmatchcase(name, pattern)), None)


def stale(survivors: Sequence[str], known: Mapping[str, str]) -> list[str]:
    """One sentence for each reason that no survivor needs."""
    return [
        f"{pattern}: expected a survivor, got none. Fix: remove the reason, it is stale"
        for pattern in known
        if not any(fnmatchcase(name, pattern) for name in survivors)
    ]
