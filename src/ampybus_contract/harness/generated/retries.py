"""Faults of how often and when a message is tried again, and of what becomes of it in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from ampybus_contract.bindings.protocol import Settlement
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.contract import Contract
from ampybus_contract.contract.model import RetryRule
from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.generated.classes import known
from ampybus_contract.harness.generated.deliveries import on_handler
from ampybus_contract.harness.generated.fault import CONSUMED, MESSAGE, TRIED, Fault, Strike
from ampybus_contract.harness.generated.groups import asked, each_group
from ampybus_contract.harness.generated.wire import unordered

CHAPTER = "Retry and DLQ"
LETTERS = "a letter is neither buried nor tried again (D25)"
Method = Callable[..., Any]
Misread = Callable[[RetryRule], RetryRule]


def faults(contract: Contract) -> Iterator[Fault]:
    """Every fault of retries. Letters are not among the messages that it is about."""
    letters = tuple((f"domain={name}", LETTERS) for name, rule in contract.domains.items() if rule.carries)
    for fault in _all(contract):
        yield replace(fault, unfit=(*fault.unfit, *letters))


def _all(contract: Contract) -> Iterator[Fault]:
    for operator, subject, says, misread in _parameters():
        if any(misread(rule) != rule for rule in contract.tiers.values()):
            unfit = _same(contract, misread)
            install = partial(_ruled, misread)
            yield Fault("retry", operator, f"rule.{subject}", says, CHAPTER, MESSAGE, install, unfit=unfit)
    for tier, rule in contract.tiers.items():
        misread = partial(_as_tier, rule)
        said = f"tries every domain as often as the tier {tier} says"
        unfit = _same(contract, misread)
        yield Fault(
            "retry", "swap", f"tier.{tier}", said, CHAPTER, MESSAGE, partial(_ruled, misread), unfit=unfit
        )
    for operator, subject, says, change in (
        ("drop", "count", "does not say at a retry how often it was tried", lambda count: None),
        ("alter", "count.one_more", "counts the attempt in hand as a retry", lambda count: str(count + 1)),
        ("alter", "count.one", "says 1 at every retry", lambda count: "1"),
        ("alter", "count.padded", "pads the number of retries", lambda count: f"{count:02d}"),
    ):
        yield Fault("retry", operator, subject, says, CHAPTER, TRIED, partial(_counted, change))
    said = "tries a message again after those that came behind it"
    yield Fault(
        "retry", "reorder", "tail", said, "Ordering", CONSUMED, _behind_others, unfit=unordered(contract)
    )
    said = "waits for nothing else while a message is tried again"
    yield Fault("retry", "ignore", "other_keys", said, CHAPTER, CONSUMED, _alone)
    said = "gives a message that failed to the next attempt and drops it after the last one"
    yield Fault("retry", "drop", "exhausted", said, CHAPTER, CONSUMED, partial(_unburied, "exhausted"))
    said = "drops what was rejected"
    yield Fault("retry", "drop", "rejected", said, CHAPTER, CONSUMED, partial(_unburied, "rejected"))
    said = "drops what cannot be decoded"
    yield Fault("retry", "drop", "undecodable", said, CHAPTER, CONSUMED, partial(_unburied, "undecodable"))
    said = "drops what breaks the contract"
    yield Fault("retry", "drop", "violation", said, CHAPTER, CONSUMED, partial(_unburied, "violation"))
    for kind in ("undecodable", "violation"):
        said = f"hands over what is buried as {kind} before it buries it"
        yield Fault("retry", "repeat", kind, said, CHAPTER, CONSUMED, partial(_tried_first, kind))


def _parameters() -> Iterator[tuple[str, str, str, Misread]]:
    yield "cut", "attempts.one", "gives up after the first attempt", lambda rule: replace(rule, attempts=1)
    yield (
        "cut",
        "attempts.less",
        "gives up one attempt early",
        lambda it: replace(it, attempts=it.attempts - 1),
    )
    yield "repeat", "attempts.more", "tries once more", lambda it: replace(it, attempts=it.attempts + 1)
    yield "repeat", "attempts.twice", "tries twice as often", lambda it: replace(it, attempts=it.attempts * 2)
    yield "ignore", "attempts", "tries a hundred times", lambda rule: replace(rule, attempts=100)
    said = "tries again at once"
    yield "drop", "pause", said, lambda rule: replace(rule, backoff_initial=0.0, backoff_max=0.0)
    yield "alter", "factor.one", "waits equally long", lambda rule: replace(rule, backoff_factor=1)
    yield (
        "alter",
        "factor.four",
        "waits four times as long each time",
        lambda it: replace(it, backoff_factor=4),
    )
    yield "drop", "jitter", "waits without jitter", lambda rule: replace(rule, jitter=0.0)
    yield "alter", "jitter.all", "waits anything from nothing on", lambda rule: replace(rule, jitter=1.0)
    said = "waits ten times as long"
    yield (
        "delay",
        "ten_times",
        said,
        lambda it: replace(it, backoff_initial=10 * it.backoff_initial, backoff_max=10 * it.backoff_max),
    )
    yield (
        "ignore",
        "longest",
        "waits without a bound",
        lambda it: replace(it, backoff_factor=60, backoff_max=900),
    )


def _as_tier(tier: RetryRule, rule: RetryRule) -> RetryRule:
    return tier


def _same(contract: Contract, misread: Misread) -> tuple[tuple[str, str], ...]:
    """The domains and tiers in which a rule is read rightly after all."""
    tiers = {name for name, rule in contract.tiers.items() if misread(rule) == rule}
    reason = "the rule is the same there"
    domains = (f"domain={name}" for name, rule in contract.domains.items() if rule.tier in tiers)
    return tuple((name, reason) for name in (*domains, *(f"tier={tier}" for tier in tiers)))


def _ruled(misread: Misread, strike: Strike, binding: ReferenceBinding) -> None:
    def rule(method: Method, envelope: Envelope) -> RetryRule:
        right: RetryRule = method(envelope)
        return misread(right) if strike(envelope) else right

    strike.around(binding, "retry_rule", rule)


def _counted(change: Callable[[int], str | None], strike: Strike, binding: ReferenceBinding) -> None:
    async def handle(handler: Method, envelope: Envelope) -> Any:
        text = envelope.headers.get("retry_count", "")
        count = change(int(text)) if text.isdigit() else text or None
        return await handler(replace(envelope, headers=envelope.headers.with_(retry_count=count)))

    on_handler(strike, binding, "retry", handle)


def _behind_others(strike: Strike, binding: ReferenceBinding) -> None:
    """Ask the handler before the lane is left to a message, and put it at the end where that failed."""

    def patch(group: Any) -> None:
        again: set[Any] = set()
        answers: dict[str, Any] = {}
        handler = group.handler

        async def handle(envelope: Envelope) -> Any:
            name = known(envelope, "message_id")
            return answers.pop(name) if name in answers else await handler(envelope)

        async def settle(method: Method, incoming: Any) -> None:
            envelope, lane = incoming.envelope, group.lanes.get(binding.lane(incoming.envelope))
            first = lane and incoming.position not in again and _new(binding, group, envelope)
            if first and strike(envelope, group.name):
                again.add(incoming.position)
                answer = await asked(handler, envelope)
                if answer != Settlement.OK:
                    group.lanes[binding.lane(envelope)].append(incoming)
                    return
                answers[known(envelope, "message_id")] = answer
            await method(incoming)

        group.handler = handle
        strike.around(group, "settle", settle)

    each_group(binding, patch)


def _new(binding: ReferenceBinding, group: Any, envelope: Envelope) -> bool:
    """Whether a message is one that the group has to hand over."""
    names = [f"{group.name}\n{name}" for name in binding.identities(envelope)]
    return binding.poison(envelope) is None and not binding.effects.seen(names)


def _alone(strike: Strike, binding: ReferenceBinding) -> None:
    """Hold every lane of a group while one message of it waits for its next attempt."""

    def patch(group: Any) -> None:
        free = asyncio.Event()
        free.set()

        async def settle(method: Method, incoming: Any) -> None:
            await free.wait()
            if strike(incoming.envelope, group.name):
                free.clear()
                try:
                    await method(incoming)
                finally:
                    free.set()
            else:
                await method(incoming)

        strike.around(group, "settle", settle)

    each_group(binding, patch)


def _unburied(kind: str, strike: Strike, binding: ReferenceBinding) -> None:
    def patch(group: Any) -> None:
        async def bury(method: Method, incoming: Any, found: str, detail: str) -> None:
            if found == kind and strike(incoming.envelope, group.name):
                group._settled(incoming)
            else:
                await method(incoming, found, detail)

        strike.around(group, "bury", bury)

    each_group(binding, patch)


def _tried_first(kind: str, strike: Strike, binding: ReferenceBinding) -> None:
    def patch(group: Any) -> None:
        async def bury(method: Method, incoming: Any, found: str, detail: str) -> None:
            if found == kind and strike(incoming.envelope, group.name):
                await asked(group.handler, incoming.envelope)
            await method(incoming, found, detail)

        strike.around(group, "bury", bury)

    each_group(binding, patch)
