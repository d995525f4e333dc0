"""Faults of what a binding does with an envelope before it sends it: refusals, outcomes, second attempts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.errors import PublishError
from ampybus_contract.harness.generated.classes import known
from ampybus_contract.harness.generated.fault import ANY, SENT, Fault, Strike
from ampybus_contract.harness.generated.wire import background, renamed
from ampybus_contract.harness.generated.witnesses import broken
from ampybus_contract.validation import validate

MUST = "MUST"
STORED = "what is too large is stored and a pointer to it sent, whoever overlooks the size"
Method = Callable[..., Any]
CHAPTER_OF = {
    "TPC": "Topics",
    "PKY": "Keys",
    "SIZ": "Large payloads",
    "BLB": "Large payloads",
    "PII": "Security",
}


def faults(contract: Contract) -> Iterator[Fault]:
    """Every fault of publishing."""
    for name in breakable(contract):
        yield Fault(
            "publish",
            "ignore",
            f"requirement.{name}",
            f"publishes what breaks {name}",
            CHAPTER_OF.get(name[:3], "Envelope"),
            SENT,
            partial(_overlook, name),
            requirement=name,
            unfit=((ANY, STORED),) if name == contract.payload.requirements["sent"] else (),
        )
    for operator, subject, says, chapter, wrapper in (
        ("drop", "message", "says that an envelope is stored and does nothing", "Faults", _nothing),
        ("drop", "refused", "refuses a valid envelope", "Envelope", _refused),
        ("repeat", "other_id", "publishes once more under another id", "Idempotency", _twice),
        ("repeat", "other_time", "publishes once more with a new id and time", "Idempotency", _anew),
        ("delay", "answer_first", "answers before the broker did", "Faults", _in_background),
        (
            "ignore",
            "failure",
            "says that an envelope is stored which the broker refused",
            "Faults",
            _swallowed,
        ),
        ("alter", "outcome.indefinite", "calls a refusal indefinite", "Envelope", _indefinite),
        ("alter", "outcome.bare", "refuses without a word", "Topics", _wordless),
    ):
        yield Fault("publish", operator, subject, says, chapter, SENT, partial(_by, wrapper))
    said = "gives the second attempt a new id"
    yield Fault("publish", "alter", "second_attempt.id", said, "Idempotency", SENT, _second_attempt)
    said = "calls a refusal that follows an unanswered attempt definite"
    yield Fault("publish", "alter", "second_attempt.outcome", said, "Idempotency", SENT, _surely_refused)
    said = "does not try again after an unanswered attempt and says that it is stored"
    yield Fault("publish", "ignore", "unanswered", said, "Idempotency", SENT, _taken_for_stored)


def breakable(contract: Contract) -> list[str]:
    """The requirements of level MUST that an envelope alone can break."""
    names = sorted(contract.envelope_requirements)
    return [name for name in names if contract.requirements[name].level == MUST and broken(contract, name)]


def musts(envelope: Envelope, contract: Contract) -> set[str]:
    """The requirements of level MUST that an envelope breaks."""
    return {item.requirement for item in validate(envelope, contract) if item.level == MUST}


def _overlook(name: str, strike: Strike, binding: ReferenceBinding) -> None:
    """Publish what breaks this requirement and no other; what arrives is still judged."""
    publishing: list[Envelope] = []

    async def publish(method: Method, envelope: Envelope) -> None:
        publishing.append(envelope)
        try:
            await method(envelope)
        finally:
            publishing.remove(envelope)

    def broken_rules(method: Method, envelope: Envelope) -> Any:
        found = method(envelope)
        mine = any(envelope is item for item in publishing)
        if mine and musts(envelope, strike.contract) == {name} and strike(envelope):
            return []
        return found

    strike.around(binding, "publish", publish)
    strike.around(binding, "broken", broken_rules)


def _by(wrapper: Method, strike: Strike, binding: ReferenceBinding) -> None:
    async def publish(method: Method, envelope: Envelope) -> None:
        await (wrapper(method, envelope) if strike(envelope) else method(envelope))

    strike.around(binding, "publish", publish)


async def _nothing(method: Method, envelope: Envelope) -> None:
    """Publish nothing."""


async def _refused(method: Method, envelope: Envelope) -> None:
    raise PublishError("PUBLISH expected something else, got this. Fix: none", definite=True)


async def _twice(method: Method, envelope: Envelope) -> None:
    await method(envelope)
    await method(renamed(envelope))


async def _anew(method: Method, envelope: Envelope) -> None:
    await method(envelope)
    later = envelope.headers.with_(produced_at="2026-01-01T00:00:00Z")
    await method(renamed(replace(envelope, headers=later)))


async def _in_background(method: Method, envelope: Envelope) -> None:
    background(method(envelope))


async def _swallowed(method: Method, envelope: Envelope) -> None:
    try:
        await method(envelope)
    except PublishError as error:
        if musts_named(error):
            raise


def musts_named(error: PublishError) -> bool:
    """Whether the contract refused, and not the broker."""
    return error.definite and "envelope of the contract" in str(error)


async def _indefinite(method: Method, envelope: Envelope) -> None:
    try:
        await method(envelope)
    except PublishError as error:
        raise PublishError(str(error), definite=False) from error


async def _wordless(method: Method, envelope: Envelope) -> None:
    try:
        await method(envelope)
    except PublishError as error:
        raise PublishError("refused", definite=error.definite) from error


def _second_attempt(strike: Strike, binding: ReferenceBinding) -> None:
    unanswered: set[str] = set()

    async def send(method: Method, envelope: Envelope, act: str = "") -> None:
        name = known(envelope, "message_id")
        if name in unanswered and strike(envelope):
            envelope = renamed(envelope)
        try:
            await method(envelope, act)
        except PublishError as error:
            if not error.definite:
                unanswered.add(name)
            raise

    strike.around(binding.transport, "send", send)


def _surely_refused(strike: Strike, binding: ReferenceBinding) -> None:
    async def send(method: Method, envelope: Envelope) -> None:
        try:
            await method(envelope)
        except PublishError as error:
            if not error.definite and strike(envelope):
                raise PublishError(str(error), definite=True) from error
            raise

    strike.around(binding, "send", send)


def _taken_for_stored(strike: Strike, binding: ReferenceBinding) -> None:
    async def send(method: Method, envelope: Envelope, act: str = "") -> None:
        try:
            await method(envelope, act)
        except PublishError as error:
            if error.definite or not strike(envelope):
                raise

    strike.around(binding.transport, "send", send)
