"""How much of what one envelope can break a history shows: on publish, and on the wire."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.checkers.reading import History, musts, only
from ampybus_contract.harness.history import Event, Operation, Outcome
from ampybus_contract.strategies import breaks

MUST = "MUST"
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Covered:
    """Requirements that were broken one way (``where``), each with the domain, out of all that can be.

    ``left_out`` says by which rules of the broker how many were not put on the wire.
    """

    where: str
    broken: frozenset[Pair]
    breakable: frozenset[Pair]
    left_out: Mapping[str, int]

    @property
    def missing(self) -> list[Pair]:
        """What was not broken, and could be."""
        return sorted(self.breakable - self.broken)

    def __str__(self) -> str:
        """The figures in words."""
        few, many = ({name for name, _ in pairs} for pairs in (self.broken, self.breakable))
        words = (
            f"requirements broken {self.where}: {len(few)} of {len(many)}, "
            f"with their domains {len(self.broken)} of {len(self.breakable)}"
        )
        rules = "; ".join(f"{count} by {rule!r}" for rule, count in self.left_out.items())
        return f"{words}; left out: {rules}" if rules else words


def covered(history: History, contract: Contract) -> tuple[Covered, Covered]:
    """What was published although it breaks a MUST, and what of that kind arrived without the binding."""
    breakable = frozenset(
        (spot.requirement, spot.domain)
        for spot in breaks(contract)
        if contract.requirements[spot.requirement].level == MUST
    )
    arrived = only(history, Operation.INJECT)
    published = [item for item in only(history, Operation.PUBLISH) if item.outcome is Outcome.INVOKE]
    left = Counter(item.error for item in arrived if item.outcome is Outcome.FAIL)
    put = [item for item in arrived if item.outcome is Outcome.OK]
    return (
        Covered("on publish", _pairs(published, contract) & breakable, breakable, {}),
        Covered("on the wire", _pairs(put, contract) & breakable, breakable, dict(left)),
    )


def _pairs(events: Iterable[Event], contract: Contract) -> frozenset[Pair]:
    """What each event breaks, alone, and in which domain."""
    found: set[Pair] = set()
    for item in events:
        broken = {finding.requirement for finding in musts(item, contract)}
        if len(broken) == 1:
            found.add((broken.pop(), domain_of(item.envelope, contract)))
    return frozenset(found)


def domain_of(envelope: Envelope, contract: Contract) -> str:
    """The domain that an envelope is of: by its topic, else as a dead letter, else by its type."""
    named = "".join(envelope.topic.split(".")[2:3])
    if named in contract.domains:
        return named
    fqdn = envelope.headers.get("schema_fqdn")
    for name, rule in contract.domains.items():
        own = rule.carries and rule.required_headers.keys() <= envelope.headers.keys()
        if own or (not rule.carries and fqdn in rule.payloads and not _carried(envelope, contract)):
            return name
    return ""


def _carried(envelope: Envelope, contract: Contract) -> bool:
    return all(name in envelope.headers for name in contract.dead_letter.headers.values())
