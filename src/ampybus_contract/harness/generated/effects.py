"""Faults of what is remembered of effects, for whom, for how long, and when."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from ampybus_contract.bindings.protocol import Endpoint
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.envelope.digest import sha256_of
from ampybus_contract.harness.generated.classes import known
from ampybus_contract.harness.generated.fault import CONSUMED, MESSAGE, NOTHING, Fault, Strike
from ampybus_contract.harness.generated.groups import each_group
from ampybus_contract.harness.generated.wire import background

CHAPTER = "Idempotency"
MARK = "\0"
WRITTEN_SECONDS = 1.0
Method = Callable[..., Any]
Rename = Callable[[list[str], Envelope], list[str]]
LIMITS = (16, 512, 2_000)
WINDOWS = {"1_min": 60.0, "5_min": 300.0, "2_h": 7_200.0}
_process_wide: set[str] = set()


def faults(contract: Contract) -> Iterator[Fault]:
    """Every fault of effects."""
    keyed = tuple(
        (f"domain={name}", "the dedupe key tells there that it is the same")
        for name, rule in contract.domains.items()
        if rule.dedupe_key
    )
    for operator, subject, says, rename in _identities():
        unfit = keyed if subject in ("id", "id.case") else ()
        named = partial(_named, rename)
        yield Fault("effect", operator, subject, says, CHAPTER, MESSAGE, named, unfit=unfit)
    for operator, subject, says, seen in (
        ("ignore", "group", "takes what another group applied for applied", _as_any_group),
        ("ignore", "seen", "applies what it knows again", _never_seen),
    ):
        yield Fault("effect", operator, subject, says, CHAPTER, MESSAGE, partial(_looked_up, seen))
    for limit in LIMITS:
        said = f"remembers the last {limit} effects"
        yield Fault("effect", "cut", f"limit.{limit}", said, CHAPTER, NOTHING, partial(_limited, limit))
    for name, seconds in WINDOWS.items():
        said = f"remembers effects for {seconds:g} s"
        yield Fault("effect", "cut", f"window.{name}", said, CHAPTER, NOTHING, partial(_windowed, seconds))
    for operator, subject, says, install in (
        ("drop", "file", "keeps effects in memory only", _in_memory),
        ("swap", "global", "keeps effects in a variable of the process", _in_process),
        ("delay", "file", "writes effects when it stops", _at_stop),
    ):
        yield Fault("effect", operator, subject, says, CHAPTER, NOTHING, install)
    for operator, subject, says, install in (
        ("delay", "after_ack", "remembers an effect after it was acknowledged", _after_ack),
        ("reorder", "before_handler", "remembers an effect before there is one", _before_handler),
        ("ignore", "failure", "remembers what failed as applied", _failed_too),
    ):
        yield Fault("effect", operator, subject, says, CHAPTER, CONSUMED, install)
    said = "never acknowledges what it knows already"
    yield Fault("effect", "drop", "ack_of_known", said, CHAPTER, CONSUMED, _known_unacknowledged)
    said = "buries what it knows already"
    yield Fault("effect", "alter", "known.buried", said, CHAPTER, CONSUMED, _known_buried)


def _identities() -> Iterator[tuple[str, str, str, Rename]]:
    yield "drop", "id", "does not look at the message_id", lambda names, _: _but("id ", names)
    yield "drop", "dedupe_key", "does not look at the dedupe key", lambda names, _: _but("dedupe ", names)
    said = "compares ids with their case"
    yield "alter", "id.case", said, lambda names, item: _with("id ", names, known(item, "message_id"))
    for length in (8, 13, 18):
        said = f"compares the first {length} signs of ids"
        yield "cut", f"id.{length}", said, partial(_cut, "id ", 3 + length)
    said = "takes messages of one key for the same"
    yield "swap", "id.partition_key", said, lambda names, item: [f"id {known(item, 'partition_key')}"]
    said = "takes messages with one payload for the same"
    yield "swap", "id.payload", said, lambda names, item: [f"id {sha256_of(item.payload)}"]
    said = "takes messages of one time for the same"
    yield "swap", "id.produced_at", said, lambda names, item: [f"id {known(item, 'produced_at')}"]
    said = "takes messages of one trace for the same"
    yield "swap", "id.trace_id", said, lambda names, item: [*names, f"trace {known(item, 'trace_id')}"]
    for part, number in (("env", 1), ("domain", 2)):
        said = f"compares dedupe keys without their {part}"
        yield "ignore", f"dedupe_key.{part}", said, partial(_without_token, number)
    said = "compares dedupe keys without their case"
    yield "alter", "dedupe_key.case", said, partial(_rewritten, "dedupe ", str.lower)
    said = "compares dedupe keys within their topic"
    yield "alter", "dedupe_key.topic", said, partial(_suffixed, "dedupe ", lambda item: item.topic)
    for header in ("producer", "trace_id", "run_id", "partition_key"):
        said = f"compares dedupe keys within their {header}"
        within = partial(_header, header)
        yield "alter", f"dedupe_key.{header}", said, partial(_suffixed, "dedupe ", within)
    said = "compares the first 12 signs of dedupe keys"
    yield "cut", "dedupe_key.12", said, _short_dedupe


def _but(prefix: str, names: list[str]) -> list[str]:
    return [name for name in names if not name.startswith(prefix)]


def _with(prefix: str, names: list[str], text: str) -> list[str]:
    return [f"{prefix}{text}", *_but(prefix, names)]


def _cut(prefix: str, length: int, names: list[str], _: Envelope) -> list[str]:
    return [name[:length] if name.startswith(prefix) else name for name in names]


def _rewritten(prefix: str, rewrite: Callable[[str], str], names: list[str], _: Envelope) -> list[str]:
    return [rewrite(name) if name.startswith(prefix) else name for name in names]


def _suffixed(prefix: str, part: Callable[[Envelope], str], names: list[str], item: Envelope) -> list[str]:
    return [f"{name} {part(item)}" if name.startswith(prefix) else name for name in names]


def _header(name: str, item: Envelope) -> str:
    return known(item, name)


def _without_token(number: int, names: list[str], item: Envelope) -> list[str]:
    token = item.topic.split(".")[number]
    return [name.replace(f" {token} ", " * ", 1) if name.startswith("dedupe ") else name for name in names]


def _short_dedupe(names: list[str], item: Envelope) -> list[str]:
    key = known(item, "dedupe_key")
    return [name.replace(key, key[:12]) if key and name.startswith("dedupe ") else name for name in names]


def _named(rename: Rename, strike: Strike, binding: ReferenceBinding) -> None:
    def identities(method: Method, envelope: Envelope) -> list[str]:
        names: list[str] = method(envelope)
        return rename(names, envelope) if strike(envelope) else names

    strike.around(binding, "identities", identities)


def _looked_up(seen: Method, strike: Strike, binding: ReferenceBinding) -> None:
    """Have the store look names up otherwise, for messages with which the fault shows: these are marked."""

    def identities(method: Method, envelope: Envelope) -> list[str]:
        mark = MARK if strike(envelope) else ""
        return [f"{mark}{name}" for name in method(envelope)]

    def patch(store: Any) -> None:
        remembered: set[str] = set()

        def look(method: Method, names: Sequence[str]) -> bool:
            marked = any(MARK in name for name in names)
            plain = [name.replace(MARK, "") for name in names]
            return bool(seen(method, plain, remembered) if marked else method(plain))

        def apply(method: Method, names: Sequence[str]) -> None:
            plain = [name.replace(MARK, "") for name in names]
            remembered.update(name.partition("\n")[2] for name in plain)
            method(plain)

        strike.around(store, "seen", look)
        strike.around(store, "apply", apply)

    strike.around(binding, "identities", identities)
    each_store(strike, binding, patch)


def _as_any_group(method: Method, names: Sequence[str], remembered: set[str]) -> bool:
    return method(names) or any(name.partition("\n")[2] in remembered for name in names)


def _never_seen(method: Method, names: Sequence[str], remembered: set[str]) -> bool:
    return False


def each_store(strike: Strike, binding: ReferenceBinding, patch: Callable[[Any], None]) -> None:
    """Patch the effect store that a binding opens when it starts."""

    def store(method: Method, endpoint: Endpoint) -> Any:
        made = method(endpoint)
        patch(made)
        return made

    strike.around(binding, "effect_store", store)


def _limited(limit: int, strike: Strike, binding: ReferenceBinding) -> None:
    def patch(store: Any) -> None:
        newest: deque[str] = deque(maxlen=limit * 2)

        def apply(method: Method, names: Sequence[str]) -> None:
            newest.extend(names)
            method(names)

        def seen(method: Method, names: Sequence[str]) -> bool:
            lost = not any(name in newest for name in names) and strike()
            return not lost and bool(method(names))

        strike.around(store, "apply", apply)
        strike.around(store, "seen", seen)

    each_store(strike, binding, patch)


def _windowed(seconds: float, strike: Strike, binding: ReferenceBinding) -> None:
    def patch(store: Any) -> None:
        times: dict[str, float] = {}

        def apply(method: Method, names: Sequence[str]) -> None:
            times.update(dict.fromkeys(names, asyncio.get_running_loop().time()))
            method(names)

        def seen(method: Method, names: Sequence[str]) -> bool:
            newest = max((times[name] for name in names if name in times), default=0.0)
            old = asyncio.get_running_loop().time() - newest > seconds
            return not (old and strike()) and bool(method(names))

        strike.around(store, "apply", apply)
        strike.around(store, "seen", seen)

    each_store(strike, binding, patch)


def _in_memory(strike: Strike, binding: ReferenceBinding) -> None:
    def patch(store: Any) -> None:
        applied: set[str] = set()

        def apply(method: Method, names: Sequence[str]) -> None:
            if strike():
                applied.update(names)
            else:
                method(names)

        def seen(method: Method, names: Sequence[str]) -> bool:
            return not applied.isdisjoint(names) or bool(method(names))

        strike.around(store, "apply", apply)
        strike.around(store, "seen", seen)

    each_store(strike, binding, patch)


def _in_process(strike: Strike, binding: ReferenceBinding) -> None:
    """What a kill of the process takes away, and a kill that is only played does not."""
    token: list[str] = []

    def patch(store: Any) -> None:
        def apply(method: Method, names: Sequence[str]) -> None:
            if strike():
                _process_wide.update(f"{token} {name}" for name in names)
            else:
                method(names)

        def seen(method: Method, names: Sequence[str]) -> bool:
            return any(f"{token} {name}" in _process_wide for name in names) or bool(method(names))

        strike.around(store, "apply", apply)
        strike.around(store, "seen", seen)

    async def start(method: Method, endpoint: Endpoint) -> None:
        token[:] = [str(endpoint.state)]
        await method(endpoint)

    strike.around(binding, "start", start)
    each_store(strike, binding, patch)


def _at_stop(strike: Strike, binding: ReferenceBinding) -> None:
    def patch(store: Any) -> None:
        def keep(method: Method) -> None:
            if not strike():
                method()

        strike.around(store, "keep", keep)

    each_store(strike, binding, patch)


def _after_ack(strike: Strike, binding: ReferenceBinding) -> None:
    def patch(group: Any) -> None:
        async def keep(method: Method) -> None:
            last = group.last
            if last is not None and strike(last, group.name):
                background(_late(method, WRITTEN_SECONDS))
            else:
                await method()

        strike.around(group, "_keep", keep)

    each_group(binding, patch)


async def _late(method: Method, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await method()


def _before_handler(strike: Strike, binding: ReferenceBinding) -> None:
    def patch(group: Any) -> None:
        handler = group.handler

        async def handle(envelope: Envelope) -> Any:
            if strike(envelope, group.name):
                _remember(binding, group, envelope)
            return await handler(envelope)

        group.handler = handle

    each_group(binding, patch)


def _failed_too(strike: Strike, binding: ReferenceBinding) -> None:
    def patch(group: Any) -> None:
        async def bury(method: Method, incoming: Any, kind: str, detail: str) -> None:
            if strike(incoming.envelope, group.name):
                _remember(binding, group, incoming.envelope)
            await method(incoming, kind, detail)

        strike.around(group, "bury", bury)

    each_group(binding, patch)


def _remember(binding: ReferenceBinding, group: Any, envelope: Envelope) -> None:
    binding.effects.apply([f"{group.name}\n{name}" for name in binding.identities(envelope)])
    binding.effects.keep()


def _known_unacknowledged(strike: Strike, binding: ReferenceBinding) -> None:
    _known(strike, binding, buried=False)


def _known_buried(strike: Strike, binding: ReferenceBinding) -> None:
    _known(strike, binding, buried=True)


def _known(strike: Strike, binding: ReferenceBinding, buried: bool) -> None:
    def patch(group: Any) -> None:
        async def settle(method: Method, incoming: Any) -> None:
            names = [f"{group.name}\n{name}" for name in binding.identities(incoming.envelope)]
            if names and binding.effects.seen(names) and strike(incoming.envelope, group.name):
                if buried:
                    await group.bury(incoming, "rejected", "seen before")
                else:
                    group._let_go(incoming)
            else:
                await method(incoming)

        strike.around(group, "settle", settle)

    each_group(binding, patch)
