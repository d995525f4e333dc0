"""Faults of what a binding puts on the wire, and of letters and redriven messages on theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.generated.changes import Changing, bus_headers, changes
from ampybus_contract.harness.generated.classes import known
from ampybus_contract.harness.generated.fault import MESSAGE, SENT, Change, Fault, Strike

LINGER_SECONDS = 1.0
PLACES = {"wire": "", "letter": "dlq.", "redrive": "redrive."}
CHAPTERS = {"wire": "Envelope", "letter": "Retry and DLQ", "redrive": "Retry and DLQ"}
Send = Callable[..., Any]
Make = Callable[[Strike], Send]


def faults(contract: Contract) -> Iterator[Fault]:
    """Every fault of the wire, of letters on it, and of redriven messages."""
    own = bus_headers(contract)
    for place in PLACES:
        for item in changes(contract):
            if not (place == "wire" and _rewrites_own(item, own)) and not _harmless(place, item):
                yield _changing(place, item)
    yield from _flows(contract)


def _rewrites_own(item: Changing, own: frozenset[str]) -> bool:
    """Whether a change is of a header that the bus writes itself on the way."""
    return item.subject.split(".")[1] in own and not (
        item.operator == "drop" and item.subject.endswith(("span_id", "traceparent"))
    )


def _harmless(place: str, item: Changing) -> bool:
    """A letter's own topic has other tokens; what it adds is judged under its own subjects."""
    return place == "letter" and item.subject.startswith(("topic", "header.dlq_"))


def _changing(place: str, item: Changing) -> Fault:
    facts = SENT if place == "wire" else MESSAGE
    chapter = {"payload": "Envelope", "topic": "Topics"}.get(item.subject.split(".")[0], CHAPTERS[place])
    says = f"{item.says} {'when it sends' if place == 'wire' else f'of a {place} message'}"
    install = partial(_send_changed, PLACES[place], item.change)
    return Fault(place, item.operator, item.subject, says, chapter, facts, install, item.shows)


def on_send(strike: Strike, binding: ReferenceBinding, act: str, wrapper: Callable[..., Any]) -> None:
    """Have a wrapper see what the transport is given to send for an act."""

    async def send(method: Send, envelope: Envelope, name: str = "") -> None:
        if name.startswith(act) and bool(name) == bool(act) and strike(envelope):
            await wrapper(method, envelope, name)
        else:
            await method(envelope, name)

    strike.around(binding.transport, "send", send)


def _send_changed(act: str, change: Change, strike: Strike, binding: ReferenceBinding) -> None:
    async def send(method: Send, envelope: Envelope, name: str) -> None:
        await method(strike.changed(change, envelope), name)

    on_send(strike, binding, act, send)


def unordered(contract: Contract) -> tuple[tuple[str, str], ...]:
    """The domains whose messages may be reordered, with the reason."""
    names = (name for name, rule in contract.domains.items() if rule.ordering != "strict")
    return tuple((f"domain={name}", "its order is relaxed (D20)") for name in names)


def _flows(contract: Contract) -> Iterator[Fault]:
    for place, act in PLACES.items():
        facts = SENT if place == "wire" else MESSAGE
        what = "a message" if place == "wire" else f"a {place} message"
        chapter = "Faults" if place == "wire" else CHAPTERS[place]
        rows: list[tuple[str, str, str, Make]] = [
            ("drop", "message", f"says that {what} is stored and does not send it", lambda _: _nothing),
            ("repeat", "other_id", f"sends {what} again with an id of its own", lambda _: _twice),
            (
                "delay",
                "stored_later",
                f"says that {what} is stored and sends it a second later",
                lambda _: _later,
            ),
            (
                "swap",
                "payload.previous",
                f"sends {what} with the payload of the one before",
                _Previous.payloads,
            ),
            ("swap", "headers.previous", f"sends {what} with the trace of the one before", _Previous.traces),
        ]
        if place == "wire":
            said = "sends a message after the next one of its key"
            rows.append(("reorder", "lane", said, lambda strike: Held().send))
        if place == "letter":
            rows.append(("repeat", "message", "stores each dead letter twice", lambda _: _twice_as_it_is))
        if place == "redrive":
            rows.append(("alter", "other_id", "redrives under a new id", lambda _: _renamed))
        for operator, subject, says, make in rows:
            unfit = unordered(contract) if operator == "reorder" else ()
            yield Fault(place, operator, subject, says, chapter, facts, partial(_by, act, make), unfit=unfit)


def _by(act: str, make: Make, strike: Strike, binding: ReferenceBinding) -> None:
    on_send(strike, binding, act, make(strike))


async def _nothing(method: Send, envelope: Envelope, name: str) -> None:
    """Send nothing."""


async def _twice(method: Send, envelope: Envelope, name: str) -> None:
    await method(envelope, name)
    await method(renamed(envelope), f"{name}again.")


async def _twice_as_it_is(method: Send, envelope: Envelope, name: str) -> None:
    await method(envelope, name)
    await method(envelope, f"{name}again.")


async def _renamed(method: Send, envelope: Envelope, name: str) -> None:
    await method(renamed(envelope), name)


async def _later(method: Send, envelope: Envelope, name: str) -> None:
    background(_after(LINGER_SECONDS, method, envelope, name))


async def _after(seconds: float, method: Send, envelope: Envelope, name: str) -> None:
    await asyncio.sleep(seconds)
    await method(envelope, name)


_running: set[asyncio.Task[None]] = set()


def background(work: Any) -> None:
    """Have something done that nobody waits for, and whose failure nobody hears of."""
    task = asyncio.create_task(work)
    _running.add(task)
    task.add_done_callback(_ended)


def _ended(task: asyncio.Task[None]) -> None:
    _running.discard(task)
    if not task.cancelled():
        task.exception()


def renamed(envelope: Envelope) -> Envelope:
    """The message under another id of the right form."""
    text = known(envelope, "message_id")
    last = "0" if text[-1:] != "0" else "1"
    return replace(envelope, headers=envelope.headers.with_(message_id=text[:-1] + last))


class _Previous:
    """Remembers the message before."""

    def __init__(self) -> None:
        self.last: Envelope | None = None

    @classmethod
    def payloads(cls, _: Strike) -> Send:
        """Swaps payloads of one type."""
        return cls()._payload

    @classmethod
    def traces(cls, _: Strike) -> Send:
        """Swaps what names the trace."""
        return cls()._trace

    async def _payload(self, method: Send, envelope: Envelope, name: str) -> None:
        last, self.last = self.last or envelope, envelope
        same = known(last, "schema_fqdn") == known(envelope, "schema_fqdn")
        packed = ("content_encoding" in last.headers) == ("content_encoding" in envelope.headers)
        await method(replace(envelope, payload=last.payload) if same and packed else envelope, name)

    async def _trace(self, method: Send, envelope: Envelope, name: str) -> None:
        last, self.last = self.last or envelope, envelope
        kept = {one: last.headers.get(one) for one in ("trace_id", "span_id", "traceparent")}
        await method(replace(envelope, headers=envelope.headers.with_(**kept)), name)


class Held:
    """Keeps a message back until the next one of its key has passed, or a short time is over."""

    SECONDS = 0.05

    def __init__(self) -> None:
        self.held: dict[str, tuple[Envelope, str]] = {}

    async def send(self, method: Send, envelope: Envelope, name: str) -> None:
        """Send, and then what was held back of the key; or hold this one."""
        key = known(envelope, "partition_key")
        before = self.held.pop(key, None)
        if before is None:
            self.held[key] = (envelope, name)
            background(self._release(method, key, envelope))
            return
        await method(envelope, name)
        await method(*before)

    async def _release(self, method: Send, key: str, envelope: Envelope) -> None:
        await asyncio.sleep(self.SECONDS)
        if self.held.get(key, (None, ""))[0] is envelope:
            await method(*self.held.pop(key))
