"""Faults of what a replay request selects, and of how its records come."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from ampybus_contract.bindings.protocol import Settlement
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.replay import Request
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.envelope.instant import nanoseconds
from ampybus_contract.envelope.pattern import matches
from ampybus_contract.errors import AmpyBusError
from ampybus_contract.harness.generated.classes import known
from ampybus_contract.harness.generated.fault import MESSAGE, Fault, Strike
from ampybus_contract.harness.generated.groups import asked, each_replayer

CHAPTER = "Replay"
Method = Callable[..., Any]
Misread = Callable[[Request], Request]
COUNTS = (1, 10, 100, 1_000)
OF_MESSAGES = (
    "size",
    "encoding",
    "value",
    "time",
    "key",
    "with",
    "topic",
    "type",
    "keys",
    "key_messages",
    "again",
)
HOUR = 3_600 * 10**9


def faults(contract: Contract) -> Iterator[Fault]:
    """Every fault of replay. What decides is the request: its topics, and no more of a message."""
    scopes = tuple(
        (f"domain={name}", "it is not replayed")
        for name, rule in contract.domains.items()
        if rule.replay is None
    )
    plain = tuple((kind, "a request has no part of that kind") for kind in OF_MESSAGES)
    for fault in _all(contract):
        yield replace(fault, unfit=(*scopes, *plain))


def _all(contract: Contract) -> Iterator[Fault]:
    for operator, subject, says, misread in _requests():
        yield Fault("replay", operator, subject, says, CHAPTER, MESSAGE, partial(_read, misread))
    for subject, says, covers in (
        ("start.excluded", "leaves out what was produced at the start", _without_start),
        ("end.included", "hands over what was produced at the end", _with_end),
    ):
        yield Fault("replay", "alter", subject, says, CHAPTER, MESSAGE, partial(_covering, covers))
    header = contract.replay.header
    for operator, subject, says, text in (
        ("drop", f"header.{header}.none", f"does not say {header}", lambda name: None),
        ("alter", f"header.{header}.own", f"writes a {header} of its own", lambda name: f"replay-of-{name}"),
        ("swap", f"header.{header}.fixed", f"writes the same {header} for all", lambda name: "replay"),
    ):
        yield Fault("replay", operator, subject, says, CHAPTER, MESSAGE, partial(_naming, header, text))
    for count in COUNTS:
        said = f"replays {count} records at most"
        yield Fault(
            "replay", "cut", f"records.{count}", said, CHAPTER, MESSAGE, partial(_listed, _First(count))
        )
    for operator, subject, says, change in (
        ("cut", "records.last", "leaves the last record out", lambda found: found[:-1]),
        ("cut", "records.first", "leaves the first record out", lambda found: found[1:]),
        ("reorder", "records.reversed", "replays from the newest on", lambda found: found[::-1]),
        ("reorder", "records.by_topic", "replays topic after topic", _by_topic),
        ("reorder", "records.by_time", "replays in the order of produced_at", _by_time),
        ("drop", "records.same_time", "replays one of several records of one time", _one_of_each_time),
    ):
        yield Fault("replay", operator, subject, says, CHAPTER, MESSAGE, partial(_listed, change))
    for operator, subject, says, install in (
        ("ignore", "request.again", "answers no request that is like one before", _once),
        ("ignore", "request.refused", "answers requests that have no meaning", _anything),
        ("drop", "request", "takes a request for done without a look", _dropped),
        ("repeat", "request", "answers a request twice", _twice),
        ("ignore", "window.empty", "replays all where a window has nothing in it", _all_for_none),
        ("ignore", "effects", "applies again what is applied", _applied_again),
        ("drop", "effects", "hands over nothing that came live", _withheld),
        ("repeat", "publish", "publishes again what is replayed", _published),
    ):
        yield Fault("replay", operator, subject, says, CHAPTER, MESSAGE, install)


def _requests() -> Iterator[tuple[str, str, str, Misread]]:
    yield "ignore", "start", "does not look at the start", lambda it: replace(it, start=None)
    yield "ignore", "end", "does not look at the end", lambda it: replace(it, end=None)
    yield "ignore", "window", "does not look at the window", lambda it: replace(it, start=None, end=None)
    yield "ignore", "key", "does not look at the key", lambda it: replace(it, key=None)
    said = "replays whole domains whatever the subtopic"
    yield (
        "ignore",
        "subtopic",
        said,
        lambda it: replace(it, pattern=".".join([*it.pattern.split(".")[:4], ">"])),
    )
    said = "replays from every environment"
    yield "ignore", "env", said, lambda it: replace(it, pattern=_token(1, "*", it.pattern))
    said = "takes an hour more on both sides"
    yield (
        "alter",
        "window.wider",
        said,
        lambda it: replace(it, start=_plus(it.start, -HOUR), end=_plus(it.end, HOUR)),
    )
    said = "takes the window in whole seconds"
    yield "alter", "window.seconds", said, lambda it: replace(it, start=_whole(it.start), end=_whole(it.end))
    said = "takes the window in whole microseconds"
    yield (
        "alter",
        "window.microseconds",
        said,
        lambda it: replace(it, start=_whole(it.start, 1_000), end=_whole(it.end, 1_000)),
    )
    said = "replays the first millisecond only"
    yield "cut", "window", said, lambda it: replace(it, end=_plus(it.start, 10**6) or it.end)


def _token(number: int, text: str, pattern: str) -> str:
    tokens = pattern.split(".")
    tokens[number : number + 1] = [text]
    return ".".join(tokens)


def _plus(at: int | None, more: int) -> int | None:
    return None if at is None else at + more


def _whole(at: int | None, unit: int = 10**9) -> int | None:
    return None if at is None else at // unit * unit


def on_records(strike: Strike, binding: ReferenceBinding, wrapper: Callable[..., Any]) -> None:
    """Have a wrapper make the list of records of a request with which the fault shows.

    It gets the replayer, the request, and what lists the records of a request.
    """

    def patch(replayer: Any) -> None:
        records = replayer.records
        asked: list[Envelope] = []

        async def answer(method: Method, envelope: Envelope) -> Any:
            asked[:] = [envelope]
            return await method(envelope)

        async def wrapped(request: Request) -> AsyncGenerator[Any, None]:
            if asked and strike(replace(asked[0], topic=request.pattern)):
                found = await wrapper(replayer, request, partial(_list, records))
            else:
                found = await _list(records, request)
            for incoming in found:
                yield incoming

        strike.around(replayer, "answer", answer)
        replayer.records = wrapped

    each_replayer(binding, patch)


async def _list(records: Method, request: Request) -> list[Any]:
    return [incoming async for incoming in records(request)]


def _read(misread: Misread, strike: Strike, binding: ReferenceBinding) -> None:
    async def listed(replayer: Any, request: Request, listing: Method) -> Any:
        return await listing(misread(request))

    on_records(strike, binding, listed)


def _listed(change: Callable[[list[Any]], list[Any]], strike: Strike, binding: ReferenceBinding) -> None:
    async def listed(replayer: Any, request: Request, listing: Method) -> Any:
        return change(await listing(request))

    on_records(strike, binding, listed)


class _First:
    """Keeps the first records."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __call__(self, found: list[Any]) -> list[Any]:
        return found[: self.count]


def _by_topic(found: list[Any]) -> list[Any]:
    return sorted(found, key=lambda incoming: str(incoming.envelope.topic))


def _by_time(found: list[Any]) -> list[Any]:
    return sorted(found, key=lambda incoming: known(incoming.envelope, "produced_at"))


def _one_of_each_time(found: list[Any]) -> list[Any]:
    return list({known(incoming.envelope, "produced_at"): incoming for incoming in found}.values())


def _covering(covers: Callable[[Request, Envelope], bool], strike: Strike, binding: ReferenceBinding) -> None:
    async def listed(replayer: Any, request: Request, listing: Method) -> Any:
        wider = replace(request, end=_plus(request.end, 1))
        found = [incoming for incoming in await listing(wider) if covers(request, incoming.envelope)]
        return found

    on_records(strike, binding, listed)


def _at(envelope: Envelope) -> int:
    return nanoseconds(known(envelope, "produced_at"))


def _without_start(request: Request, envelope: Envelope) -> bool:
    inside = request.end is None or _at(envelope) < request.end
    return inside and (request.start is None or _at(envelope) > request.start)


def _with_end(request: Request, envelope: Envelope) -> bool:
    return True


def _naming(
    header: str, text: Callable[[str], str | None], strike: Strike, binding: ReferenceBinding
) -> None:
    async def listed(replayer: Any, request: Request, listing: Method) -> Any:
        name = text(request.id)
        return [
            replace(one, envelope=replace(one.envelope, headers=one.envelope.headers.with_(**{header: name})))
            for one in await listing(request)
        ]

    on_records(strike, binding, listed)


def on_answer(strike: Strike, binding: ReferenceBinding, wrapper: Callable[..., Any]) -> None:
    """Have a wrapper answer the requests with which the fault shows."""

    def patch(replayer: Any) -> None:
        async def answer(method: Method, envelope: Envelope) -> Any:
            struck = strike(replace(envelope, topic=_asked_of(envelope, strike.contract)))
            return await (wrapper(method, envelope) if struck else method(envelope))

        strike.around(replayer, "answer", answer)

    each_replayer(binding, patch)


def _asked_of(envelope: Envelope, contract: Contract) -> str:
    """The topics that a request is about; its own topic where it has no meaning."""
    try:
        return Request.read(envelope, contract).pattern
    except AmpyBusError:
        return envelope.topic


def _once(strike: Strike, binding: ReferenceBinding) -> None:
    seen: set[tuple[str, Any, Any, Any]] = set()

    async def answer(method: Method, envelope: Envelope) -> Any:
        try:
            request = Request.read(envelope, strike.contract)
        except AmpyBusError:
            return Settlement.REJECT
        name = (request.pattern, request.key, request.start, request.end)
        if name in seen:
            return Settlement.OK
        seen.add(name)
        return await method(envelope)

    on_answer(strike, binding, answer)


def _anything(strike: Strike, binding: ReferenceBinding) -> None:
    async def answer(method: Method, envelope: Envelope) -> Any:
        answered = await method(envelope)
        return Settlement.OK if answered is Settlement.REJECT else answered

    on_answer(strike, binding, answer)


def _dropped(strike: Strike, binding: ReferenceBinding) -> None:
    async def answer(method: Method, envelope: Envelope) -> Any:
        return Settlement.OK

    on_answer(strike, binding, answer)


def _twice(strike: Strike, binding: ReferenceBinding) -> None:
    async def listed(replayer: Any, request: Request, listing: Method) -> Any:
        found = await listing(request)
        for incoming in found:
            await asked(replayer.group.handler, incoming.envelope)
        return found

    on_records(strike, binding, listed)


def _all_for_none(strike: Strike, binding: ReferenceBinding) -> None:
    async def listed(replayer: Any, request: Request, listing: Method) -> Any:
        found = await listing(request)
        return found or await listing(replace(request, start=None, end=None))

    on_records(strike, binding, listed)


def _applied_again(strike: Strike, binding: ReferenceBinding) -> None:
    async def listed(replayer: Any, request: Request, listing: Method) -> Any:
        found = await listing(request)
        for incoming in found:
            if _known(binding, replayer, incoming.envelope):
                await asked(replayer.group.handler, incoming.envelope)
        return found

    on_records(strike, binding, listed)


def _known(binding: ReferenceBinding, replayer: Any, envelope: Envelope) -> bool:
    names = [f"{replayer.group.name}\n{name}" for name in binding.identities(envelope)]
    return binding.effects.seen(names)


def _withheld(strike: Strike, binding: ReferenceBinding) -> None:
    """What any group of this binding has taken is not replayed."""

    async def listed(replayer: Any, request: Request, listing: Method) -> Any:
        found = await listing(request)
        return [one for one in found if not _taken(binding, replayer, one.envelope)]

    on_records(strike, binding, listed)


def _taken(binding: ReferenceBinding, replayer: Any, envelope: Envelope) -> bool:
    names = binding.identities(envelope)
    groups = [group.name for group in binding.groups if group is not replayer.group]
    return any(binding.effects.seen([f"{group}\n{name}" for name in names]) for group in groups)


def _published(strike: Strike, binding: ReferenceBinding) -> None:
    async def listed(replayer: Any, request: Request, listing: Method) -> Any:
        found = await listing(request)
        for incoming in found:
            if matches(request.pattern, incoming.envelope.topic):
                await binding.transport.send(incoming.envelope, "replay.")
        return found

    on_records(strike, binding, listed)
