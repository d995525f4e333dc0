"""Replay: requests from the control topic, and the records they select (contract section 10, D26)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ampybus_contract.bindings.protocol import Handler, Settlement, Subscription
from ampybus_contract.bindings.transport import Incoming, Reads, Span
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope, Topic
from ampybus_contract.envelope.digest import plain_payload
from ampybus_contract.envelope.formula import fill
from ampybus_contract.envelope.instant import nanoseconds
from ampybus_contract.envelope.pattern import matches
from ampybus_contract.envelope.registry import decode
from ampybus_contract.errors import ReplayError, TopicError

if TYPE_CHECKING:
    from ampybus_contract.bindings.reference import ReferenceBinding

EVERY_KEY = "*"


@dataclass(frozen=True, slots=True)
class Request:
    """What one request selects: topics under ``pattern``, keys, and a window in nanoseconds.

    ``key`` is None for all keys, ``start`` and ``end`` are None where a request by key sets no window.
    """

    id: str
    pattern: str
    key: str | None
    start: int | None
    end: int | None

    @classmethod
    def read(cls, envelope: Envelope, contract: Contract) -> Request:
        """The request in an envelope of the control topic, for the environment of that topic.

        Raises ReplayError where it names no domain, another environment, or a scope the domain does not
        have (D5, D26).
        """
        asked: Any = decode(contract.replay.request, plain_payload(envelope, contract))
        topic = Topic.parse(envelope.topic)
        domain = contract.domains.get(asked.domain)
        if domain is None or domain.replay is None:
            raise _wrong("a domain that is replayed", asked.domain)
        pattern = _pattern(asked, topic)
        start = asked.start.ToNanoseconds() if asked.HasField("start") else None
        end = asked.end.ToNanoseconds() if asked.HasField("end") else None
        key = None if asked.scope in ("", EVERY_KEY) else asked.scope
        if domain.replay == "key" and key is None:
            raise _wrong(f"a key, as {domain.name} is replayed by key", asked.scope or "none")
        if domain.replay != "key" and (start is None or end is None):
            raise _wrong(f"start and end, as {domain.name} is replayed by time window", "none")
        return cls(asked.request_id, pattern, key, start, end)

    def covers(self, envelope: Envelope, contract: Contract) -> bool:
        """Whether a record is one of those asked for, by its topic, its key and its own time."""
        if not matches(self.pattern, envelope.topic):
            return False
        if self.key is not None and envelope.headers.get("partition_key") != self.key:
            return False
        if self.start is None and self.end is None:
            return True
        window = contract.replay.window
        try:
            at = nanoseconds(envelope.headers.get(window["header"], ""))
        except ValueError:
            return False
        after = self.start is None or self.start < at or (window["start"] == "included" and self.start == at)
        before = self.end is None or at < self.end or (window["end"] == "included" and self.end == at)
        return after and before

    def span(self, contract: Contract) -> Span:
        """Where to look by the broker's time, which is that of storing: with slack on both sides."""
        slack = round(contract.replay.lookup_slack_seconds * 1e9)
        return Span(
            None if self.start is None else self.start - slack, None if self.end is None else self.end + slack
        )


class Replayer:
    """Answers the requests of one environment for one sink.

    Records come in stored order, one after another, with all their headers and the one that names the
    request, through the deduplication of the sink's group: what the group applied before has no second
    effect, and what it has not applied is not withheld (D23).
    """

    def __init__(self, binding: ReferenceBinding, subscription: Subscription, handler: Handler) -> None:
        self.binding = binding
        self.contract = binding.contract
        self.subscription = subscription
        self.group = binding.group_class(binding, subscription.group, handler)

    async def start(self) -> None:
        """Follow the requests from now on."""
        control = self.control(self.subscription.pattern)
        await self.binding.subscribe(Subscription(control, f"{self.subscription.group} replay"), self.answer)

    def control(self, pattern: str) -> str:
        """The control topic of the environment that a pattern is in."""
        prefix, env = pattern.split(".")[:2]
        return fill(self.contract.replay.control_topic, {"prefix": prefix, "env": env})

    async def answer(self, envelope: Envelope) -> Settlement:
        """Replay what one request asks for; a request without meaning is rejected."""
        try:
            request = Request.read(envelope, self.contract)
        except (ReplayError, TopicError):
            return Settlement.REJECT
        async with aclosing(self.records(request)) as records:
            async for incoming in records:
                await self.group.settle(incoming)
        await self.group.drained()
        return Settlement.OK

    async def records(self, request: Request) -> AsyncGenerator[Incoming, None]:
        """The records of a request, with the header that names it."""
        transport = self.binding.transport
        assert isinstance(transport, Reads)
        header: dict[str, str | None] = {self.contract.replay.header: request.id}
        async for incoming in transport.read(request.pattern, request.span(self.contract)):
            envelope = incoming.envelope
            if matches(self.subscription.pattern, envelope.topic) and self.covers(request, envelope):
                named = Envelope(envelope.topic, envelope.headers.with_(**header), envelope.payload)
                yield replace(incoming, envelope=named)

    def covers(self, request: Request, envelope: Envelope) -> bool:
        """Whether a record is one of those asked for."""
        return request.covers(envelope, self.contract)


def _pattern(asked: Any, topic: Topic) -> str:
    """The topics asked for, within the environment that the request was published in (D5)."""
    family = f"{topic.prefix}.{topic.env}.{asked.domain}.{asked.version}"
    if not asked.subject_pattern:
        return f"{family}.{asked.subtopic or '>'}"
    tokens = asked.subject_pattern.split(".")
    wanted = family.split(".")
    open_ended = tokens[-1:] == [">"] and len(tokens) <= len(wanted)
    named = tokens[:-1] if open_ended else tokens
    if any(one not in ("*", other) for one, other in zip(named, wanted, strict=False)):
        raise _wrong(f"a pattern within {family}", asked.subject_pattern)
    rest = [">"] if open_ended else tokens[len(wanted) :]
    if not rest:
        raise _wrong(f"a pattern of topics under {family}", asked.subject_pattern)
    return ".".join([*wanted, *rest])


def _wrong(expected: str, got: str) -> ReplayError:
    return ReplayError(f"REPLAY expected {expected}, got {got!r}. Fix: mend the request")
