"""Faults of flow: of what is held back, of how much is in hand, of lag, and of how a binding ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.errors import PublishError
from ampybus_contract.harness.generated.fault import CONSUMED, GROUP, NOTHING, SENT, Fault, Strike
from ampybus_contract.harness.generated.groups import each_group

CHAPTER = "Backpressure"
Method = Callable[..., Any]
ONE_GROUP = frozenset({GROUP})


def faults(contract: Contract) -> Iterator[Fault]:
    """Every fault of flow."""
    highest = max(rule.priority for rule in contract.domains.values())
    top = tuple(
        (f"domain={name}", "it is never held back")
        for name, rule in contract.domains.items()
        if rule.priority == highest
    )
    for operator, subject, says, publish in (
        ("ignore", "throttle", "publishes what it is told to hold back", _at_once),
        ("drop", "throttled", "says that what it holds back is stored", _dropped),
        ("alter", "throttled", "refuses at once what it is told to hold back", _refused),
    ):
        yield Fault("flow", operator, subject, says, CHAPTER, SENT, partial(_held_back, publish), unfit=top)
    for operator, subject, says, levels in (
        ("alter", "levels.one_more", "holds back one level more", lambda levels: levels + 1 if levels else 0),
        ("cut", "levels.one_less", "holds back one level less", lambda levels: max(0, levels - 1)),
        ("ignore", "levels.release", "does not let go again", lambda levels: levels or 1),
        ("cut", "levels.one", "holds back the lowest level only", lambda levels: min(levels, 1)),
    ):
        yield Fault("flow", operator, subject, says, CHAPTER, NOTHING, partial(_slowed, levels))
    said = "holds back the highest priorities first"
    yield Fault("flow", "swap", "priorities", said, CHAPTER, NOTHING, _reversed)
    for operator, subject, says, told in (
        ("drop", "lag", "reports no lag", lambda lag: 0),
        ("alter", "lag.one_more", "reports a record too many", lambda lag: lag + 1),
        ("cut", "lag.100", "reports a lag of 100 at most", lambda lag: min(lag, 100)),
        ("cut", "lag.10", "reports a lag of 10 at most", lambda lag: min(lag, 10)),
        ("alter", "lag.halved", "reports half of the lag", lambda lag: lag // 2),
    ):
        yield Fault("flow", operator, subject, says, CHAPTER, ONE_GROUP, partial(_lagging, told))
    said = "reports the lag of another group"
    yield Fault("flow", "swap", "lag.group", said, CHAPTER, ONE_GROUP, _other_lag)
    said = "reports the first lag again"
    yield Fault("flow", "repeat", "lag", said, CHAPTER, ONE_GROUP, _stale_lag)
    said = "takes more in hand than it may"
    yield Fault("flow", "ignore", "in_flight", said, CHAPTER, CONSUMED, _roomy)
    said = "takes nothing more once its hands were full"
    yield Fault("flow", "drop", "room", said, CHAPTER, CONSUMED, _leaking)
    said = "drops what is in hand when it stops, as if it were done"
    yield Fault("flow", "drop", "in_hand", said, "Faults", CONSUMED, _drops_in_hand)


def _held_back(publish: Method, strike: Strike, binding: ReferenceBinding) -> None:
    async def asked(method: Method, envelope: Envelope) -> None:
        throttle = binding.throttle
        domain = "".join(envelope.topic.split(".")[2:3])
        held = throttle.priorities.get(domain, throttle.floor) < throttle.floor
        if held and not throttle.closed and strike(envelope):
            await publish(binding, method, envelope)
        else:
            await method(envelope)

    strike.around(binding, "publish", asked)


async def _at_once(binding: ReferenceBinding, method: Method, envelope: Envelope) -> None:
    right = binding.throttle.calm
    binding.throttle.calm = True
    try:
        await method(envelope)
    finally:
        binding.throttle.calm = right


async def _dropped(binding: ReferenceBinding, method: Method, envelope: Envelope) -> None:
    """Publish nothing."""


async def _refused(binding: ReferenceBinding, method: Method, envelope: Envelope) -> None:
    raise PublishError("PUBLISH expected room, got none. Fix: publish it again later", definite=True)


def _slowed(levels: Callable[[int], int], strike: Strike, binding: ReferenceBinding) -> None:
    async def slow_down(method: Method, asked: int) -> None:
        await method(levels(asked) if strike() else asked)

    strike.around(binding, "slow_down", slow_down)


def _reversed(strike: Strike, binding: ReferenceBinding) -> None:
    right = dict(binding.throttle.priorities)
    top = max(right.values())

    async def slow_down(method: Method, asked: int) -> None:
        wrong = {name: top + min(right.values()) - priority for name, priority in right.items()}
        binding.throttle.priorities = wrong if strike() else right
        await method(asked)

    strike.around(binding, "slow_down", slow_down)


def _lagging(told: Callable[[int], int], strike: Strike, binding: ReferenceBinding) -> None:
    async def lag(method: Method, group: str) -> int:
        found: int = await method(group)
        return told(found) if strike(None, group) else found

    strike.around(binding, "lag", lag)


def _other_lag(strike: Strike, binding: ReferenceBinding) -> None:
    async def lag(method: Method, group: str) -> int:
        others = [one.name for one in binding.groups if one.name != group]
        found: int = await method(others[0] if others and strike(None, group) else group)
        return found

    strike.around(binding, "lag", lag)


def _stale_lag(strike: Strike, binding: ReferenceBinding) -> None:
    first: dict[str, int] = {}

    async def lag(method: Method, group: str) -> int:
        found: int = await method(group)
        return first.setdefault(group, found) if strike(None, group) else found

    strike.around(binding, "lag", lag)


def _roomy(strike: Strike, binding: ReferenceBinding) -> None:
    def patch(group: Any) -> None:
        def enqueue(method: Method, incoming: Any) -> None:
            if strike(incoming.envelope, group.name):
                group.room.release()
            method(incoming)

        strike.around(group, "enqueue", enqueue)

    each_group(binding, patch)


def _leaking(strike: Strike, binding: ReferenceBinding) -> None:
    """Never give back the place of a message with which the fault shows."""

    def patch(group: Any) -> None:
        def enqueue(method: Method, incoming: Any) -> None:
            if strike(incoming.envelope, group.name):
                group.room.take()
            method(incoming)

        strike.around(group, "enqueue", enqueue)

    each_group(binding, patch)


def _drops_in_hand(strike: Strike, binding: ReferenceBinding) -> None:
    def patch(group: Any) -> None:
        async def stop(method: Method, seconds: float) -> None:
            for incoming in list(group.held.values()):
                if strike(incoming.envelope, group.name):
                    await incoming.ack()
            await method(0)

        strike.around(group, "stop", stop)

    each_group(binding, patch)
