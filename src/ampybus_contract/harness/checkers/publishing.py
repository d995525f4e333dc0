"""What a publish was answered, against what it should have been."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ampybus_contract.contract import Contract
from ampybus_contract.harness.checkers.reading import Checker, History, musts, only, words
from ampybus_contract.harness.history import Anomaly, Event, Operation, Outcome


def violation_accepted(select: Callable[[Contract], Iterable[str]]) -> Checker:
    """A checker for envelopes that break one of the selected requirements and were not refused for good.

    A refusal is a publish that fails definitely, and nothing on the wire.
    """

    def accepted(history: History, contract: Contract) -> list[Anomaly]:
        wrong = set(select(contract))
        stored = {item.id: item for item in only(history, Operation.STORE)}
        found: list[Anomaly] = []
        for item in history:
            if item.operation is not Operation.PUBLISH or item.outcome is Outcome.INVOKE:
                continue
            broken = [finding for finding in musts(item, contract) if finding.requirement in wrong]
            if broken and (item.outcome is not Outcome.FAIL or item.id in stored):
                on_wire = (stored[item.id],) if item.id in stored else ()
                found.append(Anomaly(f"Not refused: {words(broken[0])}", (item, *on_wire)))
        return found

    return accepted


def hint_missing(history: History, contract: Contract) -> list[Anomaly]:
    """A refused topic whose error does not hold the topic that was meant, where the contract can tell."""
    found: list[Anomaly] = []
    for item in history:
        if item.operation is not Operation.PUBLISH or item.outcome is not Outcome.FAIL:
            continue
        for finding in musts(item, contract):
            meant = finding.hint.removeprefix("did you mean ").removesuffix("?")
            if finding.where == "topic" and meant != finding.hint and meant not in item.error:
                found.append(Anomaly(f"The refusal does not say that {meant} was meant.", (item,)))
    return found


def refused_valid(history: History, contract: Contract) -> list[Anomaly]:
    """A valid envelope that was refused, and not taken at another try either.

    Near the size limit a binding may refuse it (D17).
    """
    published = only(history, Operation.PUBLISH)
    taken = {item.id for item in published if item.outcome is Outcome.OK}
    return [
        Anomaly(f"An envelope that keeps the contract was refused: {item.error}", (item,))
        for item in published
        if item.outcome is Outcome.FAIL
        and item.id not in taken
        and not musts(item, contract)
        and not _near_limit(item, contract)
    ]


def _near_limit(item: Event, contract: Contract) -> bool:
    """Whether headers and payload may come to the size limit on the wire.

    Topic and headers count twice: as they are, and as much again for what a binding has to add to them.
    """
    envelope = item.envelope
    words = "".join([envelope.topic, *envelope.headers, *envelope.headers.values()])
    return len(envelope.payload) + 2 * len(words.encode()) >= contract.payload.sent_below


def unsettled_size(history: History, contract: Contract) -> list[Anomaly]:
    """A publish around the size limit that was neither stored nor refused for good, or one beside it.

    A broker that gets more than it takes cuts the connection, and all that is on its way then is in doubt.
    Sample: publish of 1 MiB info.
    """
    stored = {item.id for item in only(history, Operation.STORE)}
    found: list[Anomaly] = []
    for item in only(history, Operation.PUBLISH):
        size = len(item.envelope.payload)
        if item.outcome is Outcome.INFO:
            sentence = f"A publish of {size} bytes had no definite outcome: {item.error}"
            found.append(Anomaly(sentence, (item,)))
        elif item.outcome is Outcome.OK and item.id not in stored:
            found.append(Anomaly(f"A payload of {size} bytes was neither refused nor stored.", (item,)))
    return found


def unanswered(history: History, contract: Contract) -> list[Anomaly]:
    """A publish of a valid envelope whose outcome stays open although nothing was disturbed."""
    if only(history, Operation.FAULT):
        return []
    return [
        Anomaly(f"A publish of a valid envelope had no definite outcome: {item.error}", (item,))
        for item in history
        if item.operation is Operation.PUBLISH and item.outcome is Outcome.INFO and not musts(item, contract)
    ]


def broken_on_wire(select: Callable[[Contract], Iterable[str]]) -> Checker:
    """A checker for messages that the binding stored and that break one of the selected requirements."""

    def broken(history: History, contract: Contract) -> list[Anomaly]:
        wrong = set(select(contract))
        injected = {item.id for item in only(history, Operation.INJECT)}
        return [
            Anomaly(f"What the binding stored breaks the contract. {words(found[0])}", (item,))
            for item in only(history, Operation.STORE)
            if item.id not in injected
            and (found := [finding for finding in musts(item, contract) if finding.requirement in wrong])
        ]

    return broken


def definite_but_stored(history: History, contract: Contract) -> list[Anomaly]:
    """A publish that was reported as surely failed although the message is on the wire (D22)."""
    stored = {item.id: item for item in only(history, Operation.STORE)}
    return [
        Anomaly(
            f"The publish was reported as surely failed, but it is stored: {item.error}",
            (item, stored[item.id]),
        )
        for item in only(history, Operation.PUBLISH)
        if item.outcome is Outcome.FAIL and item.id in stored and not musts(item, contract)
    ]


def refused_at_last_but_stored(history: History, contract: Contract) -> list[Anomaly]:
    """As ``definite_but_stored``, where no other try of the same message was taken or left open (D22).

    One that was tried again may be there for that reason.
    """
    published = only(history, Operation.PUBLISH)
    again = {item.id for item in published if item.outcome in (Outcome.OK, Outcome.INFO)}
    return [item for item in definite_but_stored(history, contract) if item.events[0].id not in again]


def id_invented(history: History, _contract: Contract) -> list[Anomaly]:
    """A stored message whose id nobody published: a retry made a new message of it (D22)."""
    put = (Operation.PUBLISH, Operation.INJECT, Operation.CONNECT)
    known = {item.id for item in history if item.operation in put}
    return [
        Anomaly(
            "A message on the wire has an id that was never published: a retry would count twice.", (item,)
        )
        for item in only(history, Operation.STORE)
        if item.id not in known
    ]
