"""Faults of dead letters and of their way back: what they say, where they go, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.transport import nothing
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.envelope.digest import sha256_of
from ampybus_contract.harness.generated.fault import CONSUMED, MESSAGE, NOTHING, Change, Fault, Strike
from ampybus_contract.harness.generated.groups import each_group

CHAPTER = "Retry and DLQ"
LETTERS = "a letter is neither buried nor tried again (D25)"
Method = Callable[..., Any]
FINAL = ("undecodable", "violation", "rejected", "exhausted", "blob")
AT_MOST = 100
PAUSE_SECONDS = 0.5


def faults(contract: Contract) -> Iterator[Fault]:
    """Every fault of letters and of redriving. Letters are not among the messages that it is about."""
    letters = tuple((f"domain={name}", LETTERS) for name, rule in contract.domains.items() if rule.carries)
    for fault in _all(contract):
        yield replace(fault, unfit=(*fault.unfit, *letters))


def _all(contract: Contract) -> Iterator[Fault]:
    for operator, subject, says, change in _words(contract):
        yield Fault("letter", operator, subject, says, CHAPTER, MESSAGE, partial(_written, change))
    for kind in FINAL:
        for other in _other_codes(contract, kind):
            said = f"calls what is {kind} {contract.dead_letter.codes[other]}"
            named = partial(_named, kind, other)
            yield Fault("letter", "swap", f"reason.{kind}.{other}", said, CHAPTER, MESSAGE, named)
    for operator, subject, says, install in (
        ("repeat", "loop", "buries letters again", _looping),
        ("ignore", "source", "never acknowledges the source of a letter", _source_kept),
        ("delay", "source_first", "acknowledges the source before the letter is stored", _source_first),
    ):
        yield Fault("letter", operator, subject, says, CHAPTER, CONSUMED, install)
    yield from _redriving(contract)


def _other_codes(contract: Contract, kind: str) -> Iterator[str]:
    codes = contract.dead_letter.codes
    seen = {codes[kind]}
    for other in codes:
        if codes[other] not in seen:
            seen.add(codes[other])
            yield other


def _words(contract: Contract) -> Iterator[tuple[str, str, str, Change]]:
    """Changes of a letter: of what it adds, and of its topic."""
    names = contract.dead_letter.headers
    for name in names.values():
        yield "drop", f"header.{name}", f"leaves {name} out", partial(_set, name, lambda old, item: None)
        said = f"writes a fixed {name}"
        example = contract.headers[name].example
        yield "alter", f"header.{name}.fixed", said, partial(_set, name, partial(_fixed, example))
    reason, origin, digest = names["reason"], names["origin"], names["payload_hash"]
    for subject, says, name, text in (
        ("reason.bare", "gives the reason without a detail", reason, lambda old, item: old.split(":")[0]),
        (
            "reason.free",
            "gives the reason in its own words",
            reason,
            lambda old, item: old.partition(": ")[2],
        ),
        ("reason.upper", "writes the code in capitals", reason, lambda old, item: old.upper()),
        ("reason.dash", "puts a dash behind the code", reason, lambda old, item: old.replace(": ", " - ", 1)),
        (
            "origin.family",
            "names the family as origin",
            origin,
            lambda old, item: ".".join(old.split(".")[:4]),
        ),
        ("origin.own", "names the topic of the letter as origin", origin, lambda old, item: item.topic),
        ("origin.lower", "lower-cases the origin", origin, lambda old, item: old.lower()),
        (
            "hash.sent",
            "takes the hash of the bytes as sent",
            digest,
            lambda old, item: sha256_of(item.payload),
        ),
        ("hash.bare", "writes the hash without its name", digest, lambda old, item: old.partition(":")[2]),
        ("hash.upper", "writes the hash in capitals", digest, lambda old, item: old.upper()),
        ("hash.empty", "takes the hash of nothing", digest, lambda old, item: sha256_of(b"")),
    ):
        yield "alter", subject, says, partial(_set, name, text)
    said = "writes the payload into the reason"
    yield "alter", "reason.payload", said, partial(_set, reason, _with_payload)
    first = contract.topic.environments[0]
    for operator, subject, says, change in (
        ("alter", "topic.env", f"sends letters to {first}", partial(_token, 1, first)),
        ("alter", "topic.domain", "sends letters to one topic for all domains", partial(_token, 4, "all")),
        (
            "cut",
            "topic.domain",
            "sends letters to a topic without the domain",
            lambda topic: topic[: topic.rfind(".")],
        ),
        ("alter", "topic.version", "sends letters to the next version", partial(_token, 3, "v2")),
        ("alter", "topic.deeper", "adds a token to the topic of letters", lambda topic: f"{topic}.all"),
    ):
        yield operator, subject, says, partial(_moved, change)


def _with_payload(old: str, item: Envelope) -> str:
    return f"{old} {item.payload[:64].hex()}"


def _fixed(text: str, old: str, item: Envelope) -> str:
    return text


def _set(name: str, text: Callable[[str, Envelope], str | None], item: Envelope) -> Envelope:
    return replace(item, headers=item.headers.with_(**{name: text(item.headers.get(name, ""), item)}))


def _token(number: int, text: str, topic: str) -> str:
    tokens = topic.split(".")
    tokens[number : number + 1] = [text]
    return ".".join(tokens)


def _moved(change: Callable[[str], str], item: Envelope) -> Envelope:
    return replace(item, topic=change(item.topic))


def _written(change: Change, strike: Strike, binding: ReferenceBinding) -> None:
    def letter(method: Method, envelope: Envelope, kind: str, detail: str) -> Envelope:
        made: Envelope = method(envelope, kind, detail)
        return strike.changed(change, made) if strike(envelope) else made

    strike.around(binding, "dead_letter", letter)


def _named(kind: str, other: str, strike: Strike, binding: ReferenceBinding) -> None:
    def letter(method: Method, envelope: Envelope, found: str, detail: str) -> Envelope:
        made: Envelope = method(envelope, other if found == kind and strike(envelope) else found, detail)
        return made

    strike.around(binding, "dead_letter", letter)


def _looping(strike: Strike, binding: ReferenceBinding) -> None:
    """Take letters for messages; with a pause, as a loop without one would stop the clock."""

    def is_letter(method: Method, envelope: Envelope) -> bool:
        return bool(method(envelope)) and not strike(envelope)

    def patch(group: Any) -> None:
        async def bury(method: Method, incoming: Any, kind: str, detail: str) -> None:
            if incoming.envelope.topic.split(".")[2:3] == ["dlq"]:
                await asyncio.sleep(PAUSE_SECONDS)
            await method(incoming, kind, detail)

        strike.around(group, "bury", bury)

    strike.around(binding, "is_dead_letter", is_letter)
    each_group(binding, patch)


def _source_kept(strike: Strike, binding: ReferenceBinding) -> None:
    def patch(group: Any) -> None:
        async def bury(method: Method, incoming: Any, kind: str, detail: str) -> None:
            if strike(incoming.envelope, group.name):
                incoming.ack = nothing
            await method(incoming, kind, detail)

        strike.around(group, "bury", bury)

    each_group(binding, patch)


def _source_first(strike: Strike, binding: ReferenceBinding) -> None:
    def patch(group: Any) -> None:
        async def bury(method: Method, incoming: Any, kind: str, detail: str) -> None:
            if strike(incoming.envelope, group.name):
                await incoming.ack()
            await method(incoming, kind, detail)

        strike.around(group, "bury", bury)

    each_group(binding, patch)


def _redriving(contract: Contract) -> Iterator[Fault]:
    added = tuple(contract.dead_letter.headers.values())
    for name in added:
        said = f"keeps {name} when it redrives"
        yield Fault("redrive", "ignore", f"header.{name}", said, CHAPTER, MESSAGE, partial(_kept, (name,)))
    yield Fault(
        "redrive",
        "ignore",
        "all_added",
        "redrives letters as they are",
        CHAPTER,
        MESSAGE,
        partial(_kept, added),
    )
    for operator, subject, says, limit in (
        ("ignore", "limit", "redrives fifty letters more than asked for", lambda limit: limit + 50),
        ("cut", "limit.one_less", "redrives one less than asked for", lambda limit: limit - 1),
        ("repeat", "limit.one_more", "redrives one more than asked for", lambda limit: limit + 1),
        ("cut", f"limit.{AT_MOST}", f"redrives {AT_MOST} at most", lambda limit: min(limit, AT_MOST)),
        ("cut", "limit.one", "redrives one at a time", lambda limit: min(limit, 1)),
    ):
        yield Fault("redrive", operator, subject, says, CHAPTER, NOTHING, partial(_limited, limit))
    for subject, token, wide in (("env", 1, "*"), ("domain", 4, "*")):
        said = f"redrives letters of every {subject}"
        yield Fault(
            "redrive", "ignore", f"pattern.{subject}", said, CHAPTER, NOTHING, partial(_wide, token, wide)
        )
    said = "redrives letters again that it redrove"
    yield Fault("redrive", "ignore", "ack", said, CHAPTER, MESSAGE, _unacknowledged)
    said = "redrives into the environment that a letter names, whatever its own is"
    yield Fault("redrive", "ignore", "env", said, "Topics", MESSAGE, _across)
    said = "redrives to the letter's topic without its last token"
    yield Fault("redrive", "cut", "topic.origin", said, CHAPTER, MESSAGE, _cut_origin)
    said = "says that it redrove one more"
    yield Fault("redrive", "alter", "count", said, CHAPTER, NOTHING, _miscounted)


def _kept(names: tuple[str, ...], strike: Strike, binding: ReferenceBinding) -> None:
    def restored(method: Method, letter: Envelope) -> Envelope:
        made: Envelope = method(letter)
        if not strike(letter):
            return made
        kept = {name: letter.headers.get(name) for name in names}
        return replace(made, headers=made.headers.with_(**kept))

    strike.around(binding, "restored", restored)


def _cut_origin(strike: Strike, binding: ReferenceBinding) -> None:
    def restored(method: Method, letter: Envelope) -> Envelope:
        made: Envelope = method(letter)
        if not strike(letter) or made.topic.count(".") < 5:
            return made
        return replace(made, topic=made.topic[: made.topic.rfind(".")])

    strike.around(binding, "restored", restored)


def _limited(limit: Callable[[int], int], strike: Strike, binding: ReferenceBinding) -> None:
    async def redrive(method: Method, pattern: str, asked: int) -> Any:
        return await method(pattern, limit(asked) if strike() else asked)

    strike.around(binding, "redrive", redrive)


def _wide(token: int, wide: str, strike: Strike, binding: ReferenceBinding) -> None:
    async def redrive(method: Method, pattern: str, limit: int) -> Any:
        return await method(_token(token, wide, pattern) if strike() else pattern, limit)

    strike.around(binding, "redrive", redrive)


def _miscounted(strike: Strike, binding: ReferenceBinding) -> None:
    async def redrive(method: Method, pattern: str, limit: int) -> Any:
        return await method(pattern, limit) + strike()

    strike.around(binding, "redrive", redrive)


def _unacknowledged(strike: Strike, binding: ReferenceBinding) -> None:
    async def republish(method: Method, incoming: Any) -> None:
        await method(incoming)
        if strike(incoming.envelope):
            incoming.ack = nothing

    strike.around(binding, "republish", republish)


def _across(strike: Strike, binding: ReferenceBinding) -> None:
    async def republish(method: Method, incoming: Any) -> None:
        if strike(incoming.envelope):
            again = binding.restored(incoming.envelope)
            await binding.transport.send(again, f"redrive.{incoming.position}.")
        else:
            await method(incoming)

    strike.around(binding, "republish", republish)
