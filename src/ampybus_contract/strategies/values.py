"""Single values by the rules of ``spec/payloads.yaml``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from ampybus_contract.contract.meaning import PayloadMeaning, ValueRule
from ampybus_contract.envelope.identifiers import uuid7
from ampybus_contract.strategies.entropy import Entropy

SECOND = 1_000_000_000
INT64_MAX = (1 << 63) - 1
Value = Callable[["Moment"], Any]


@dataclass(slots=True)
class Moment:
    """What the values of one envelope share: entropy, the latest time so far (ns), headers made so far."""

    entropy: Entropy
    latest: int
    major: str = "1"
    headers: dict[str, str] = field(default_factory=dict)
    make_header: Callable[[str, Moment], str] | None = None

    def header(self, name: str) -> str:
        """The value of a header; made on first use, so that payload and headers agree."""
        if name not in self.headers:
            self.headers[name] = self.make_header(name, self) if self.make_header else name
        return self.headers[name]


def epoch_ns(meaning: PayloadMeaning) -> int:
    """The first instant of the clock in nanoseconds since 1970."""
    return int(datetime.fromisoformat(meaning.clock_from).timestamp()) * SECOND


def start(meaning: PayloadMeaning, entropy: Entropy) -> int:
    """An instant within the clock's span, in nanoseconds since 1970; more often than not a whole second."""
    whole = epoch_ns(meaning) + entropy.below(meaning.clock_span_seconds) * SECOND
    return whole + (entropy.below(SECOND) if entropy.chance(96) else 0)


def step(entropy: Entropy, strict: bool) -> int:
    """Nanoseconds to a later time; zero only where not ``strict``. Single nanoseconds are frequent."""
    kind = entropy.byte()
    if kind < 64:
        return 60 * SECOND if strict else 0
    if kind < 96:
        return 1
    if kind < 128:
        return 1 + entropy.below(SECOND - 1)
    return (1 + entropy.below(3600)) * SECOND if kind < 192 else (1 + entropy.below(250)) * 1_000_000


def time_text(nanoseconds: int, digits: int | None = None) -> str:
    """RFC 3339 in UTC with ``digits`` fractional digits, or as many as are needed."""
    seconds, rest = divmod(nanoseconds, SECOND)
    whole = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f"{rest:09d}".rstrip("0") if digits is None else f"{rest:09d}"[:digits]
    return f"{whole}.{fraction}Z" if fraction else f"{whole}Z"


@dataclass(frozen=True, slots=True)
class Scaled:
    """A decimal rule: bounds, and the numbers of digits after the point."""

    low: Decimal
    high: Decimal
    scales: tuple[int, ...]

    def draw(self, entropy: Entropy) -> tuple[int, int]:
        """A scaled integer and its scale; one where the bounds allow it is the simplest."""
        scale = entropy.choice(self.scales)
        unit = 10**scale
        low = int((self.low * unit).to_integral_value(ROUND_CEILING))
        high = int((self.high * unit).to_integral_value(ROUND_FLOOR))
        return entropy.integer(low, max(low, min(high, INT64_MAX)), unit), scale


def scaled(rule: ValueRule) -> Scaled:
    """Read a decimal rule."""
    low, high = (Decimal(text) for text in rule["decimal"])
    return Scaled(low, high, tuple(rule["scales"]))


def rescaled(entropy: Entropy, value: int, scale: int) -> tuple[int, int]:
    """The same number, now and then with more digits after the point."""
    if not entropy.chance(24):
        return value, scale
    more = 1 + entropy.below(3)
    grown = value * 10**more
    return (grown, scale + more) if -INT64_MAX <= grown <= INT64_MAX else (value, scale)


def value(rule: ValueRule, meaning: PayloadMeaning) -> Value:
    """A function that makes values for a rule; for a decimal a pair, for a time nanoseconds."""
    (kind, argument), *_ = rule.items()
    if kind == "pool":
        pool = meaning.pools[argument]
        return lambda moment: moment.entropy.choice(pool)
    if kind == "decimal":
        bounds = scaled(rule)
        return lambda moment: rescaled(moment.entropy, *bounds.draw(moment.entropy))
    make = _MAKERS[kind]
    return lambda moment: make(moment, argument)


def _template(moment: Moment, text: str) -> str:
    """``{n}`` is a fresh number at each place, ``{major}`` the major version."""
    first, *rest = text.replace("{major}", moment.major).split("{n}")
    return first + "".join(f"{moment.entropy.integer(0, 100_000)}{part}" for part in rest)


def _uuid7(moment: Moment, _argument: Any) -> str:
    return str(uuid7(moment.latest // 1_000_000, moment.entropy.noise(74)))


def _bytes(moment: Moment, most: int) -> bytes:
    return bytes(moment.entropy.byte() for _ in range(moment.entropy.below(most + 1)))


_MAKERS: dict[str, Callable[[Moment, Any], Any]] = {
    "template": _template,
    "header": lambda moment, name: moment.header(name),
    "integer": lambda moment, bounds: moment.entropy.integer(*bounds),
    "time": lambda moment, _: moment.latest + step(moment.entropy, strict=False),
    "uuid7": _uuid7,
    "boolean": lambda moment, _: moment.entropy.chance(128),
    "bytes": _bytes,
}
