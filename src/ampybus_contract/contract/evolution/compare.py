"""The changes between two versions of a contract, and the version that they ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ampybus_contract.contract.evolution.effects import Change, Difference, escaped
from ampybus_contract.contract.evolution.rules import effect_of, whole_effect_of
from ampybus_contract.contract.evolution.snapshot import Snapshot, snapshot

LOWERED = "lowered"
BUMPS = (LOWERED, "none", "patch", "minor", "major")


@dataclass(frozen=True, slots=True)
class Comparison:
    """All changes, the bump of the version that they ask for, and the one that was made (of ``BUMPS``)."""

    old_version: str
    new_version: str
    changes: tuple[Change, ...]
    asked: str
    made: str

    @property
    def sufficient(self) -> bool:
        """Whether the version says at least as much as the changes do.

        A payload that changes on topics that stay no version allows: it asks for new topics (section 23).
        """
        return BUMPS.index(self.made) >= BUMPS.index(self.asked) and not self.moved_payloads

    @property
    def moved_payloads(self) -> tuple[Change, ...]:
        """The breaking changes of payloads that should have gone to new topics."""
        return tuple(change for change in self.changes if change.payload)


def compare(old: Path, new: Path) -> Comparison:
    """Compare two spec directories. Raises SpecError where one is none, or its files cannot be read."""
    before, after = snapshot(old), snapshot(new)
    whole = Difference("", before.data, after.data, before.data, after.data)
    found = tuple(_placed(change, before, after) for change in changes(whole))
    versions = before.version, after.version
    return Comparison(*versions, found, _asked(found), _made(*versions))


def changes(at: Difference) -> Iterator[Change]:
    """The changes at a path and below it."""
    if at.old == at.new or _nothing(at.old, at.new):
        return
    if (at.old is None or at.new is None) and (effect := whole_effect_of(at.path)) is not None:
        yield effect(at)
    elif _is_tree(at.old, at.new):
        before, after = at.old or {}, at.new or {}
        for key in dict.fromkeys((*before, *after)):
            path = f"{at.path}/{escaped(key)}".removeprefix("/")
            yield from changes(Difference(path, before.get(key), after.get(key), at.before, at.after))
    else:
        yield effect_of(at.path)(at)


def _nothing(old: Any, new: Any) -> bool:
    """Whether an empty mapping stands for what is not there."""
    return all(value is None or value == {} for value in (old, new))


def _is_tree(old: Any, new: Any) -> bool:
    """Whether there is something below to look at: a mapping on both sides, or on one side only."""
    return all(value is None or isinstance(value, Mapping) for value in (old, new))


def _placed(change: Change, before: Snapshot, after: Snapshot) -> Change:
    return replace(change, place=(before if change.new is None else after).place(change.path))


def _asked(found: tuple[Change, ...]) -> str:
    """Breaking changes ask for a major version, words alone for a patch, others for a minor (section 23)."""
    rules = [change for change in found if change.path != "contract/version"]
    if any(change.breaks for change in rules):
        return "major"
    if any(not change.wording for change in rules):
        return "minor"
    return "patch" if rules else "none"


def _made(old: str, new: str) -> str:
    before, after = ([int(part) for part in version.split(".")] for version in (old, new))
    if after < before:
        return LOWERED
    for bump, one, other in zip(("major", "minor", "patch"), before, after, strict=True):
        if one != other:
            return bump
    return "none"
