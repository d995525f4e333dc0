"""Changes of what is required: headers, requirements and their levels, and the order within a key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ampybus_contract.contract.evolution.effects import (
    ALL,
    NOBODY,
    Change,
    Difference,
    Direction,
    unknown,
)

P, C, O = Direction.PRODUCERS, Direction.CONSUMERS, Direction.OPERATORS  # noqa: E741  as in the table
LEVELS = ("INFO", "MAY", "SHOULD", "MUST")


def at(data: Mapping[str, Any], *keys: str) -> Any:
    """The value below keys, or None."""
    found: Any = data
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def header(difference: Difference) -> Change:
    """A header that comes or goes."""
    name = difference.name
    if difference.old is None:
        required = bool(difference.new.get("required"))
        words = f"a new {'required' if required else 'optional'} header {name}"
        return difference.change((P,) if required else NOBODY, words)
    return difference.change((C,), f"the header {name} is no longer of the contract: readers miss it")


def required(difference: Difference) -> Change:
    """Whether a header is required; its value is the requirement that says so."""
    if difference.old and difference.new:
        return judged(difference)
    breaks, words = ((P,), "required now") if difference.new else ((C,), "may be missing now")
    return difference.change(breaks, f"the header {words}")


def level_of(difference: Difference) -> Change:
    """The level of a requirement. Whom a MUST binds is not written down, so it is everybody."""
    old, new = difference.old, difference.new
    if old not in LEVELS or new not in LEVELS:
        return unknown(difference)
    words = "raised" if LEVELS.index(new) > LEVELS.index(old) else "lowered"
    breaks = ALL if new == "MUST" else (C,) if old == "MUST" else NOBODY
    return difference.change(breaks, f"the requirement is {words} from {old} to {new}")


def requirement(difference: Difference) -> Change:
    """A requirement that comes or goes; only a MUST binds."""
    name = difference.name
    if difference.old is None:
        level = difference.new["level"]
        return difference.change(ALL if level == "MUST" else NOBODY, f"a new requirement {name}, {level}")
    must = difference.old["level"] == "MUST"
    return difference.change((C,) if must else NOBODY, f"the requirement {name} is gone")


def judged(difference: Difference) -> Change:
    """The requirement that a rule is judged under: what it binds is what its level says."""
    if not all(isinstance(name, str | None) for name in (difference.old, difference.new)):
        return unknown(difference)
    if difference.old is None or difference.new is None:
        side = ((P,), "a rule that comes") if difference.old is None else ((C,), "a rule that goes")
        return difference.change(*side)
    old, new = (
        at(side, "requirements", name, "level")
        for side, name in ((difference.before, difference.old), (difference.after, difference.new))
    )
    if old is None or new is None:
        return unknown(difference)
    if (old == "MUST") == (new == "MUST"):
        return difference.change(NOBODY, "judged under another requirement")
    return difference.change((P,) if new == "MUST" else (C,), f"judged as {new}, was {old}")


def ordering(difference: Difference) -> Change:
    """What order readers may rely on."""
    if (difference.old, difference.new) == ("relaxed", "strict"):
        return difference.change((O,), "brokers and bindings must keep the order now")
    if (difference.old, difference.new) == ("strict", "relaxed"):
        return difference.change((C,), "readers can no longer rely on the order")
    return unknown(difference)
