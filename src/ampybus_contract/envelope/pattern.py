"""Subscription patterns: ``*`` stands for one token, a last ``>`` for one or more."""

from __future__ import annotations

from functools import lru_cache

KEPT = 16_384


@lru_cache(KEPT)
def matches(pattern: str, topic: str) -> bool:
    """Whether a topic falls under a pattern; tokens are compared whole."""
    wanted, found = pattern.split("."), topic.split(".")
    if wanted[-1] == ">":
        wanted.pop()
        if len(found) <= len(wanted):
            return False
        found = found[: len(wanted)]
    return len(wanted) == len(found) and all(
        want in ("*", have) for want, have in zip(wanted, found, strict=True)
    )
