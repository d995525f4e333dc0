"""How checkers read a history; nothing here judges."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, lru_cache

from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope, Headers
from ampybus_contract.envelope.pattern import matches
from ampybus_contract.harness.history import Anomaly, Event, HashedPayload, Operation, Outcome
from ampybus_contract.validation import Finding, validate

History = Sequence[Event]
Checker = Callable[[History, Contract], list[Anomaly]]
REMEMBERED = 1 << 20
TRACE = "trace_id"


class _Index:
    """A history sorted by what checkers ask for; made once for all that judge it."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.length = len(history)
        self.by_operation: dict[Operation, list[Event]] = defaultdict(list)
        for item in history:
            self.by_operation[item.operation].append(item)

    @cached_property
    def published(self) -> dict[str, tuple[Event]]:
        found: dict[str, tuple[Event]] = {}
        for item in self.by_operation[Operation.PUBLISH]:
            if item.outcome is Outcome.INVOKE:
                found.setdefault(item.id, (item,))
        return found

    @cached_property
    def taken(self) -> list[Event]:
        return [item for item in self.history if acknowledged(item)]

    @cached_property
    def pairs(self) -> list[tuple[Event, Event]]:
        known = self.published
        delivered = self.by_operation[Operation.DELIVER]
        return [(*known[item.id], item) for item in delivered if item.id in known]


_indexes: list[_Index] = []


def _index(history: History) -> _Index:
    """The index of a history; that of the last one is kept."""
    if not (_indexes and _indexes[0].history is history and _indexes[0].length == len(history)):
        _indexes[:] = [_Index(history)]
    return _indexes[0]


def only(history: History, operation: Operation) -> list[Event]:
    """The events of one operation, in order; nobody may change the list."""
    return _index(history).by_operation[operation]


def acknowledged(item: Event) -> bool:
    return item.operation in (Operation.PUBLISH, Operation.INJECT) and item.outcome is Outcome.OK


def dedupe_of(item: Event) -> str:
    """What a dedupe key stands for: the key within its environment and domain, the id where it has none."""
    key = item.envelope.headers.plain.get("dedupe_key")
    return item.id if key is None else ".".join([*item.topic.split(".")[1:3], key])


def subscribed(history: History) -> dict[str, str]:
    """The pattern of each subscription that is in the history."""
    return {item.actor: item.pattern for item in only(history, Operation.SUBSCRIBE)}


def taken(history: History) -> list[Event]:
    """What was acknowledged, in order; nobody may change the list."""
    return _index(history).taken


def first_published(history: History) -> dict[str, tuple[Event]]:
    """The first call to publish each message, by its id; nobody may change the mapping."""
    return _index(history).published


def in_doubt(history: History) -> frozenset[str]:
    """The ids whose publish had an indefinite outcome and no other one after it."""
    last = {item.id: item.outcome for item in only(history, Operation.PUBLISH)}
    return frozenset(name for name, outcome in last.items() if outcome in (Outcome.INFO, Outcome.INVOKE))


def copies(history: History, contract: Contract) -> dict[str, int]:
    """How many messages on the wire have each id, dead letters aside; 0 for one that is not there."""
    found: dict[str, int] = defaultdict(int)
    for item in only(history, Operation.STORE):
        found[item.id] += not is_dead_letter(item.topic, contract)
    return found


def undisturbed(history: History) -> bool:
    """Whether nothing in a history made a broker or a binding begin anew."""
    return not only(history, Operation.FAULT)


def pairs(history: History) -> list[tuple[Event, Event]]:
    """Each delivery of a message that was published, after that publish; nobody may change the list."""
    return _index(history).pairs


def arrivals(history: History, contract: Contract) -> list[tuple[Event, Event]]:
    """As ``pairs``, without the dead letters of messages that were published as something else."""
    return [
        (sent, got)
        for sent, got in pairs(history)
        if sent.topic == got.topic
        or is_dead_letter(sent.topic, contract)
        or not is_dead_letter(got.topic, contract)
    ]


def differing(sent: Event, got: Event, contract: Contract) -> list[str]:
    """The headers that are not as they were sent; what infrastructure may add or set does not count.

    That is what retries, the DLQ and a replay add, the span of a producer that traces (D41), and the pointer
    headers of a payload that was fetched (D18).
    """
    one, other = sent.envelope.headers, got.envelope.headers
    if one.plain == other.plain:
        return []
    free = {*contract.infrastructure_headers} - {*one}
    if _traced(one, other, contract):
        free |= span_headers(contract)
    if fetched(sent, got, contract):
        free |= {*contract.pointer_headers}
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name) and name not in free)


def fetched(sent: Event, got: Event, contract: Contract) -> bool:
    """Whether a pointer was published and its object handed over: none of the pointer headers is left."""
    names = contract.pointer_headers
    return all(name in sent.envelope.headers for name in names) and not any(
        name in got.envelope.headers for name in names
    )


def span_headers(contract: Contract) -> frozenset[str]:
    """The headers that name the span of a producer: what holds the context, and its parts but the trace."""
    holder = contract.headers[contract.tracing.propagates]
    return frozenset({holder.name, *holder.pattern.groupindex} - {TRACE})


def _traced(sent: Headers, got: Headers, contract: Contract) -> bool:
    """Whether the span headers of a message are those of a span in the message's own trace (D41)."""
    holder = contract.headers[contract.tracing.propagates]
    found = holder.pattern.fullmatch(got.get(holder.name, ""))
    if found is None:
        return False
    parts = found.groupdict()
    return parts.pop(TRACE) == sent.get(TRACE) and all(got.get(n, text) == text for n, text in parts.items())


def musts(item: Event, contract: Contract) -> list[Finding]:
    """The MUSTs that an envelope breaks; several checkers ask about one envelope, so it is remembered."""
    envelope = item.envelope
    known = _judged.get(id(envelope))
    if known is None or known[0] is not envelope or known[1] is not contract:
        if len(_judged) >= REMEMBERED:
            _judged.clear()
        whole = not isinstance(envelope.payload, HashedPayload)
        found = validate(envelope, contract, payload_known=whole)
        known = envelope, contract, [finding for finding in found if finding.level == "MUST"]
        _judged[id(envelope)] = known
    return known[2]


_judged: dict[int, tuple[Envelope, Contract, list[Finding]]] = {}


def words(finding: Finding) -> str:
    return f"{finding.where}: expected {finding.expected}, got {finding.got} ({finding.requirement})."


def poison_of(history: History, contract: Contract) -> Iterable[Event]:
    return [
        item
        for item in only(history, Operation.INJECT)
        if item.outcome is Outcome.OK and musts(item, contract)
    ]


def letters(history: History, contract: Contract) -> dict[bytes, list[Event]]:
    """The dead letters on the wire by their payload, which poison keeps where its headers may be lost."""
    found: dict[bytes, list[Event]] = defaultdict(list)
    for item in only(history, Operation.STORE):
        if is_dead_letter(item.topic, contract):
            found[item.envelope.payload].append(item)
    return found


def has_a_dlq(topic: str, contract: Contract) -> bool:
    """Whether the contract has a DLQ topic for what arrives on a topic, right or wrong (DLT-04, DLT-07).

    It has none for an environment or a domain that it does not declare, and none for dead letters.
    """
    tokens = [*topic.split("."), "", "", ""]
    domain = contract.domains.get(tokens[2])
    declared = tokens[0] == contract.topic.prefix and tokens[1] in contract.topic.environments
    return declared and domain is not None and domain.carries is None


def due_letters(history: History, contract: Contract) -> list[Event]:
    """What arrived broken and has to be set aside: it has a DLQ, and a consumer gets it.

    A history that knows no subscription stands for one in which somebody consumes everything.
    """
    patterns = set(subscribed(history).values()) or {">"}
    return [
        item
        for item in poison_of(history, contract)
        if has_a_dlq(item.topic, contract) and any(matches(pattern, item.topic) for pattern in patterns)
    ]


def set_aside(history: History, contract: Contract) -> list[tuple[Event, list[Event]]]:
    """Everything that arrived broken, each with its dead letters: those with its id and its bytes.

    Where there are none, those with its id, or else with its bytes, that are nobody else's.
    """
    poisons = list(poison_of(history, contract))
    stored = [item for item in only(history, Operation.STORE) if is_dead_letter(item.topic, contract)]
    whole, by_id, by_bytes = defaultdict(list), defaultdict(list), defaultdict(list)
    names = {_name(item) for item in poisons}
    known = {item.id for item in history if item.operation in (Operation.PUBLISH, Operation.INJECT)}
    for letter in stored:
        if _name(letter) in names:
            whole[_name(letter)].append(letter)
        elif letter.id in known:
            by_id[letter.id].append(letter)
        else:
            by_bytes[letter.envelope.payload].append(letter)
    return [
        (item, whole[_name(item)] or by_id[item.id or "none"] or by_bytes[item.envelope.payload])
        for item in poisons
    ]


def _name(item: Event) -> tuple[str, bytes]:
    return item.id, item.envelope.payload


@lru_cache(1 << 16)
def is_dead_letter(topic: str, contract: Contract) -> bool:
    """Whether a topic belongs to a domain that carries the messages of others."""
    parts = topic.split(".")
    domain = contract.domains.get(parts[2]) if len(parts) > 2 else None
    return domain is not None and domain.carries is not None
