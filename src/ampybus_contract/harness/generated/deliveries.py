"""Faults of what a handler is given, when, and of what becomes of its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from ampybus_contract.bindings.protocol import Settlement, Subscription
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.envelope.pattern import matches
from ampybus_contract.harness.generated.changes import Changing, changes
from ampybus_contract.harness.generated.classes import known
from ampybus_contract.harness.generated.fault import ANY, CONSUMED, TRIED, Change, Fault, Strike
from ampybus_contract.harness.generated.groups import each_group
from ampybus_contract.harness.generated.publishing import CHAPTER_OF, breakable, musts
from ampybus_contract.harness.generated.wire import unordered
from ampybus_contract.harness.generated.witnesses import broken

Method = Callable[..., Any]
OK, RETRY, REJECT = Settlement.OK, Settlement.RETRY, Settlement.REJECT
ENTRIES = {"delivery": "subscribe", "replay": "take_replays", "checkpoint": "resume"}
CHAPTERS = {"delivery": "Envelope", "replay": "Replay", "checkpoint": "Replay", "retry": "Retry and DLQ"}
LATE_SECONDS = 0.4
LONG_SECONDS = 35.0
SLOW_SECONDS = (1, 10, 40)


def faults(contract: Contract) -> Iterator[Fault]:
    """Every fault of delivery, and the changes of what is replayed, resumed and tried again."""
    for place in (*ENTRIES, "retry"):
        for item in changes(contract):
            if item.subject.split(".")[1] not in contract.infrastructure_headers:
                yield _changing(place, item)
        yield from _answers(place)
    yield from _flows(contract)
    yield from _unclaimed()
    for name in breakable(contract):
        yield Fault(
            "delivery",
            "ignore",
            f"requirement.{name}",
            f"hands over what breaks {name}",
            CHAPTER_OF.get(name[:3], "Retry and DLQ"),
            CONSUMED,
            partial(_hand_over_broken, name),
            requirement=name,
            unfit=_handed_anyway(contract, name),
        )


def _handed_anyway(contract: Contract, name: str) -> tuple[tuple[str, str], ...]:
    """Why a binding that keeps the contract may hand over what breaks a requirement, too."""
    domains = {one.topic.split(".")[2] for one in broken(contract, name) if one.topic.count(".") > 1}
    if domains <= {one for one, rule in contract.domains.items() if rule.carries}:
        return ((ANY, "a letter is handed over as it is (D25)"),)
    if name == contract.payload.requirements["sent"]:
        return ((ANY, "what arrived was not too large for the broker"),)
    return ()


def _changing(place: str, item: Changing) -> Fault:
    install = partial(_handed_changed, place, item.change)
    says = f"{item.says} when it hands a message over ({place})"
    return Fault(place, item.operator, item.subject, says, CHAPTERS[place], TRIED, install, item.shows)


def on_handler(strike: Strike, binding: ReferenceBinding, place: str, wrapper: Callable[..., Any]) -> None:
    """Have a wrapper see each call of a handler; at ``retry``, those that are not the first of a message."""
    entries = [ENTRIES[place]] if place in ENTRIES else list(ENTRIES.values())

    async def enter(method: Method, subscription: Subscription, handler: Any) -> None:
        async def handle(envelope: Envelope) -> Any:
            attempt = strike.attempt(envelope, subscription.group)
            struck = (place in ENTRIES or attempt > 1) and strike(envelope, subscription.group, attempt)
            return await (wrapper(handler, envelope) if struck else handler(envelope))

        await method(subscription, handle)

    for name in entries:
        strike.around(binding, name, enter)


def _handed_changed(place: str, change: Change, strike: Strike, binding: ReferenceBinding) -> None:
    async def handle(handler: Method, envelope: Envelope) -> Any:
        return await handler(strike.changed(change, envelope))

    on_handler(strike, binding, place, handle)


def _answers(place: str) -> Iterator[Fault]:
    for operator, subject, says, wrapper in (
        ("drop", "message", "takes a message for done without handing it over", _dropped),
        ("repeat", "message", "hands a message over twice", _twice),
        ("ignore", "answer.retry", "takes the answer 'retry' for done", partial(_answered, {RETRY: OK})),
        ("ignore", "answer.reject", "takes the answer 'reject' for done", partial(_answered, {REJECT: OK})),
        ("alter", "answer.reject", "tries again what was rejected", partial(_answered, {REJECT: RETRY})),
        ("alter", "answer.retry", "rejects what asks for a retry", partial(_answered, {RETRY: REJECT})),
        ("ignore", "raised", "takes a handler that raises for done", partial(_caught, OK)),
        ("alter", "raised", "rejects what a handler raises for", partial(_caught, REJECT)),
    ):
        yield Fault(place, operator, subject, says, "Retry and DLQ", TRIED, partial(_by, place, wrapper))


def _by(place: str, wrapper: Method, strike: Strike, binding: ReferenceBinding) -> None:
    on_handler(strike, binding, place, wrapper)


async def _dropped(handler: Method, envelope: Envelope) -> Settlement:
    return OK


async def _twice(handler: Method, envelope: Envelope) -> Any:
    await handler(envelope)
    return await handler(envelope)


async def _answered(instead: dict[Settlement, Settlement], handler: Method, envelope: Envelope) -> Any:
    answer = await handler(envelope)
    return instead.get(answer, answer)


async def _caught(instead: Settlement, handler: Method, envelope: Envelope) -> Any:
    try:
        return await handler(envelope)
    except Exception:
        return instead


async def _late(seconds: float, handler: Method, envelope: Envelope) -> Any:
    await asyncio.sleep(seconds)
    return await handler(envelope)


async def _impatient(seconds: float, handler: Method, envelope: Envelope) -> Any:
    try:
        async with asyncio.timeout(seconds):
            return await handler(envelope)
    except TimeoutError:
        return OK


async def _never(handler: Method, envelope: Envelope) -> Any:
    await asyncio.Event().wait()


def _flows(contract: Contract) -> Iterator[Fault]:
    objectives = tuple(
        (f"domain={name}", "it has no latency objective (D38)")
        for name, rule in contract.domains.items()
        if rule.latency is None
    )
    late = partial(_by, "delivery", partial(_late, LATE_SECONDS))
    said = f"hands a message over {LATE_SECONDS} s late"
    yield Fault("delivery", "delay", "late", said, "Service levels", TRIED, late, unfit=objectives)
    long = partial(_by, "delivery", partial(_late, LONG_SECONDS))
    said = f"keeps a message for {LONG_SECONDS} s before it hands it over"
    yield Fault("delivery", "delay", "long", said, "Faults", TRIED, long, unfit=objectives)
    for seconds in SLOW_SECONDS:
        slow = partial(_by, "delivery", partial(_impatient, seconds))
        said = f"takes a handler that needs more than {seconds} s for done"
        yield Fault("delivery", "cut", f"slow_handler.{seconds}_s", said, "Faults", TRIED, slow)
    stuck = partial(_by, "delivery", _never)
    yield Fault("delivery", "drop", "stuck", "holds a message for ever", "Faults", TRIED, stuck)
    said = "hands over each message with the payload of the one before"
    yield Fault("delivery", "swap", "payload.previous", said, "Envelope", TRIED, _previous)
    for subject, says, install in (
        ("acknowledged_first", "acknowledges before the handler is called", _acknowledged_first),
        ("until_next", "hands a message over when the next one comes", _until_next),
    ):
        yield Fault("delivery", "delay", subject, says, "Idempotency", CONSUMED, install)
    relaxed = unordered(contract)
    for subject, says, install in (
        ("lane", "hands a message over after the next one of its key", _swapped),
        ("lanes", "handles messages of one key side by side", _side_by_side),
    ):
        yield Fault("delivery", "reorder", subject, says, "Ordering", CONSUMED, install, unfit=relaxed)
    said = "handles a key after the one before it is done"
    yield Fault("delivery", "ignore", "lanes", said, "Retry and DLQ", CONSUMED, _one_lane)
    for subject, token, wide in (("env", 1, "*"), ("domain", 2, "*"), ("subtopic", 4, ">")):
        install = partial(_widened, token, wide)
        said = f"hands over what is outside a subscription in its {subject}"
        yield Fault("delivery", "ignore", f"pattern.{subject}", said, "Topics", CONSUMED, install)


class Modest(ReferenceBinding):
    """Claims nothing beyond publish and subscribe, which lifts no duty of these two."""

    @property
    def capabilities(self) -> frozenset[str]:
        """None."""
        return frozenset()


def _unclaimed() -> Iterator[Fault]:
    """Faults against what every binding owes (D43), in one that claims nothing."""
    for operator, subject, says, install in (
        ("delay", "acknowledged_first", "acknowledges before the handler is called", _acknowledged_first),
        ("drop", "message", "takes messages for done without a handler", partial(_by, "delivery", _dropped)),
        ("drop", "stuck", "holds a message for ever", partial(_by, "delivery", _never)),
        (
            "ignore",
            "raised",
            "takes a handler that raises for done",
            partial(_by, "delivery", partial(_caught, OK)),
        ),
        (
            "ignore",
            "answer.retry",
            "takes the answer 'retry' for done",
            partial(_by, "delivery", partial(_answered, {RETRY: OK})),
        ),
        ("reorder", "lanes", "handles messages of one key side by side", _side_by_side),
    ):
        said = f"claims nothing, and {says}"
        modest = partial(_modest, install)
        yield Fault("delivery", operator, f"unclaimed.{subject}", said, "Idempotency", CONSUMED, modest)


def _modest(install: Callable[..., None], strike: Strike, binding: ReferenceBinding) -> None:
    binding.__class__ = Modest
    install(strike, binding)


def _previous(strike: Strike, binding: ReferenceBinding) -> None:
    last: list[Envelope] = []

    async def handle(handler: Method, envelope: Envelope) -> Any:
        before = last[-1] if last else envelope
        last[:] = [envelope]
        return await handler(replace(envelope, payload=before.payload))

    on_handler(strike, binding, "delivery", handle)


def _acknowledged_first(strike: Strike, binding: ReferenceBinding) -> None:
    def patch(group: Any) -> None:
        async def settle(method: Method, incoming: Any) -> None:
            if strike(incoming.envelope, group.name):
                await incoming.ack()
            await method(incoming)

        strike.around(group, "settle", settle)

    each_group(binding, patch)


def _until_next(strike: Strike, binding: ReferenceBinding) -> None:
    def patch(group: Any) -> None:
        waiting: list[Any] = []

        def enqueue(method: Method, incoming: Any) -> None:
            held, waiting[:] = list(waiting), []
            for item in held:
                method(item)
            if strike(incoming.envelope, group.name):
                waiting.append(incoming)
            else:
                method(incoming)

        strike.around(group, "enqueue", enqueue)

    each_group(binding, patch)


def _swapped(strike: Strike, binding: ReferenceBinding) -> None:
    def patch(group: Any) -> None:
        held: dict[str, Any] = {}

        def release(method: Method, lane: str, incoming: Any) -> None:
            if held.get(lane) is incoming:
                method(held.pop(lane))

        def enqueue(method: Method, incoming: Any) -> None:
            lane = binding.lane(incoming.envelope)
            if lane in held:
                method(incoming)
                method(held.pop(lane))
            elif strike(incoming.envelope, group.name):
                held[lane] = incoming
                asyncio.get_running_loop().call_later(0.05, release, method, lane, incoming)
            else:
                method(incoming)

        strike.around(group, "enqueue", enqueue)

    each_group(binding, patch)


def _side_by_side(strike: Strike, binding: ReferenceBinding) -> None:
    count = 0

    def lane(method: Method, envelope: Envelope) -> str:
        nonlocal count
        count += 1
        name: str = method(envelope)
        return f"{name} {count}" if strike(envelope) else name

    strike.around(binding, "lane", lane)


def _one_lane(strike: Strike, binding: ReferenceBinding) -> None:
    def lane(method: Method, envelope: Envelope) -> str:
        return "" if strike(envelope) else method(envelope)

    strike.around(binding, "lane", lane)


def _widened(token: int, wide: str, strike: Strike, binding: ReferenceBinding) -> None:
    """Subscribe to more than was asked for, and let what is outside pass where the fault shows."""

    async def subscribe(method: Method, subscription: Subscription, handler: Any) -> None:
        tokens = subscription.pattern.split(".")
        if token < len(tokens) - (tokens[-1] == ">"):
            tokens[token : token + 1] = [wide]
        pattern = ".".join(tokens[: token + 1] if wide == ">" else tokens)

        async def handle(envelope: Envelope) -> Any:
            inside = matches(subscription.pattern, envelope.topic)
            if inside or strike(envelope, subscription.group, 1):
                return await handler(envelope)
            return OK

        await method(Subscription(pattern, subscription.group), handle)

    strike.around(binding, "subscribe", subscribe)


def _hand_over_broken(name: str, strike: Strike, binding: ReferenceBinding) -> None:
    group_of: dict[str, str] = {}

    def patch(group: Any) -> None:
        async def settle(method: Method, incoming: Any) -> None:
            group_of[known(incoming.envelope, "message_id")] = group.name
            await method(incoming)

        strike.around(group, "settle", settle)

    def poison(method: Method, envelope: Envelope) -> Any:
        found = method(envelope)
        group = group_of.get(known(envelope, "message_id"), "")
        if found and musts(envelope, strike.contract) == {name} and strike(envelope, group):
            return None
        return found

    each_group(binding, patch)
    strike.around(binding, "poison", poison)
