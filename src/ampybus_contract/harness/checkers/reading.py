"""How checkers read a history; nothing here judges."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.history import Anomaly, Event, Operation, Outcome
from ampybus_contract.validation import Finding, validate

History = Sequence[Event]
Checker = Callable[[History, Contract], list[Anomaly]]
REMEMBERED = 256


def only(history: History, operation: Operation) -> list[Event]:
    return [item for item in history if item.operation is operation]


def acknowledged(item: Event) -> bool:
    return item.operation in (Operation.PUBLISH, Operation.INJECT) and item.outcome is Outcome.OK


def dedupe_of(item: Event) -> str:
    """What a dedupe key stands for: the key within its environment and domain, the id where it has none."""
    key = item.envelope.headers.get("dedupe_key")
    return item.id if key is None else ".".join([*item.topic.split(".")[1:3], key])


def subscribed(history: History) -> dict[str, str]:
    """The pattern of each subscription that is in the history."""
    return {item.actor: item.pattern for item in only(history, Operation.SUBSCRIBE)}


def first_published(history: History) -> dict[str, tuple[Event]]:
    found: dict[str, tuple[Event]] = {}
    for item in history:
        if item.operation is Operation.PUBLISH and item.outcome is Outcome.INVOKE:
            found.setdefault(item.id, (item,))
    return found


def pairs(history: History) -> list[tuple[Event, Event]]:
    published = first_published(history)
    return [(*published[item.id], item) for item in only(history, Operation.DELIVER) if item.id in published]


def differing(sent: Event, got: Event, contract: Contract) -> list[str]:
    one, other = sent.envelope.headers, got.envelope.headers
    return sorted(
        name
        for name in {*one, *other}
        if one.get(name) != other.get(name)
        and not (name in contract.infrastructure_headers and name not in one)
    )


def musts(item: Event, contract: Contract) -> list[Finding]:
    return _broken(item.envelope, contract)


@lru_cache(maxsize=REMEMBERED)
def _broken(envelope: Envelope, contract: Contract) -> list[Finding]:
    """Several checkers ask about one envelope, and a bomb is costly to judge."""
    return [finding for finding in validate(envelope, contract) if finding.level == "MUST"]


def words(finding: Finding) -> str:
    return f"{finding.where}: expected {finding.expected}, got {finding.got} ({finding.requirement})."


def poison_of(history: History, contract: Contract) -> Iterable[Event]:
    return [
        item
        for item in only(history, Operation.INJECT)
        if item.outcome is Outcome.OK and musts(item, contract)
    ]


def letters_of(history: History, poison: Event, contract: Contract) -> list[Event]:
    return [
        item
        for item in only(history, Operation.STORE)
        if item.envelope.payload == poison.envelope.payload and is_dead_letter(item.topic, contract)
    ]


def is_dead_letter(topic: str, contract: Contract) -> bool:
    """Whether a topic belongs to a domain that carries the messages of others."""
    parts = topic.split(".")
    domain = contract.domains.get(parts[2]) if len(parts) > 2 else None
    return domain is not None and domain.carries is not None
