"""Fields that stand in an order to one another, such as ``low <= open, close <= high``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from google.protobuf.descriptor import Descriptor

from ampybus_contract.contract.meaning import MessageMeaning, PayloadMeaning, ValueRule
from ampybus_contract.errors import SpecError, SpecProblem
from ampybus_contract.strategies.values import Moment, Scaled, rescaled, scaled, step

_TIME = "google.protobuf.Timestamp"


class Ordered:
    """The orders of one message type; times and decimals can be ordered.

    Raises SpecError where an order names an unknown field, mixes kinds or runs in a circle.
    """

    def __init__(
        self,
        descriptor: Descriptor,
        meaning: PayloadMeaning,
        own: MessageMeaning,
        outer: Mapping[str, ValueRule],
    ) -> None:
        self._file = f"/messages/{descriptor.full_name}/order"
        self._below = _predecessors(own)
        self.names = frozenset(self._below)
        for name in sorted(self.names):
            if name not in descriptor.fields_by_name:
                raise self._wrong("fields of the message", name)
        kinds = {name: descriptor.fields_by_name[name].message_type for name in self.names}
        self.times = frozenset(
            name for name, kind in kinds.items() if kind is not None and kind.full_name == _TIME
        )
        type_names = {name: kind.full_name for name, kind in kinds.items() if kind is not None}
        for name, kind in kinds.items():
            decimal = kind is not None and {"scaled", "scale"} <= set(kind.fields_by_name)
            if name not in self.times and not decimal:
                raise self._wrong("times or decimals", name)
            for below in self._below[name]:
                if (below in self.times) is not (name in self.times):
                    raise self._wrong("one kind of field", f"{below} and {name}")
        try:
            self._sorted = tuple(TopologicalSorter(self._below).static_order())
        except CycleError as error:
            raise self._wrong("an order without a circle", str(error.args[1])) from error
        self._leaders = self._components()
        self._decimals: dict[str, Scaled] = {}
        for name in self._sorted:
            if name not in self.times:
                rule = outer.get(name) or own.fields.get(name) or meaning.fields.get(name)
                rule = rule if rule and "decimal" in rule else meaning.types[type_names[name]]
                self._decimals[name] = scaled(rule)

    def make(self, moment: Moment) -> Iterator[tuple[str, int | tuple[int, int]]]:
        """Values for all ordered fields, the lower ones first."""
        entropy, origin = moment.entropy, moment.latest
        found: dict[str, int] = {}
        scales: dict[str, int] = {}
        for name in self._sorted:
            below = self._below[name]
            least = max((found[other] for other in below), default=None)
            strict = any(below[other] and found[other] == least for other in below)
            if name in self.times:
                found[name] = (origin if least is None else least) + step(entropy, strict)
                yield name, found[name]
                continue
            leader = self._leaders[name]
            if leader not in scales:
                found[name], scales[leader] = self._decimals[name].draw(entropy)
            elif least is None:
                least = min(found[other] for other in found if self._leaders[other] == leader)
                found[name] = least
            else:
                found[name] = least + (1 if strict else 0) + _rise(entropy.byte(), least)
            yield name, rescaled(entropy, found[name], scales[leader])

    def _components(self) -> dict[str, str]:
        """For each field a field that stands for all that it is, directly or not, ordered with."""
        leaders = {name: name for name in self._sorted}
        for name, below in self._below.items():
            for other in below:
                old, new = leaders[other], leaders[name]
                leaders = {item: new if leader == old else leader for item, leader in leaders.items()}
        return leaders

    def _wrong(self, expected: str, got: str) -> SpecError:
        return SpecError(
            [SpecProblem("payloads.yaml", 1, self._file, expected, got, "compare with the message type")]
        )


def _rise(byte: int, base: int) -> int:
    """From nothing to about a twentieth of the base, nothing being frequent."""
    return 0 if byte < 64 else 1 + (abs(base) // 20) * (byte - 64) // 192


def _predecessors(own: MessageMeaning) -> dict[str, dict[str, bool]]:
    """For each ordered field those below it, and whether strictly."""
    found: dict[str, dict[str, bool]] = {}
    for chain in own.order:
        for group in chain.groups:
            for name in group:
                found.setdefault(name, {})
        for lower, upper, strict in zip(chain.groups, chain.groups[1:], chain.strict, strict=False):
            for name in upper:
                for other in lower:
                    found[name][other] = strict or found[name].get(other, False)
    return found
