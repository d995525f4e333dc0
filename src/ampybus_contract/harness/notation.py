"""Small histories as text, for the samples of checkers: ``publish a; deliver a; effect a``.

Steps are separated by semicolons: an operation, a message, and for a publish its outcome (``ok`` where none
is given, ``open`` for one that was not answered), for others a position. A name before a colon is the actor.

Messages: ``a``, ``b``, ``c`` share a key; ``x`` has another; ``twin`` is another message with the dedupe key
of ``once``; ``p`` cannot be decoded; ``ask`` asks for a replay of all that is older than ``b``. Marks: ``~``
another payload, ``^`` another header, ``+`` replayed for ``ask``, ``@env`` on a topic of that environment,
``!`` as a dead letter, ``?`` with the reason of another one.
"""

from __future__ import annotations

import re
from dataclasses import replace

from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope, Headers
from ampybus_contract.envelope.digest import sha256_of
from ampybus_contract.envelope.formula import fill
from ampybus_contract.harness.history import UNKNOWN, Event, Operation, Outcome
from ampybus_contract.harness.workload import Workload

STEP = re.compile(
    r"(?:(?P<actor>\w+): *)?(?P<operation>\w+)"
    r"(?: (?P<message>[a-z]+)(?P<marks>(?:[~^+!?]|@\w+)*))?(?: (?P<last>\w+))?"
)
ACTORS = {
    Operation.PUBLISH: "producer",
    Operation.INJECT: "wire",
    Operation.STORE: "wire",
    Operation.REDRIVE: "operator",
}
_NOTHING = Envelope("", Headers({}), b"")
_MILLISECOND = 1_000_000


def read_notation(text: str, contract: Contract) -> list[Event]:
    """The events that a text stands for, a millisecond apart. Raises ValueError for another form."""
    cast = _Cast(contract)
    events: list[Event] = []
    for step in text.split(";"):
        found = STEP.fullmatch(step.strip())
        if found is None:
            raise ValueError(f"expected 'operation message', got {step.strip()!r}")
        events += cast.play(found, len(events) * _MILLISECOND)
    return events


class _Cast:
    """The messages of a small history; each name stands for one message throughout."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        made = Workload(contract, 1)
        keyed, once = made.keyed_domain(), made.dedupe_domain()
        self.messages = {name: made.envelope(keyed, 0) for name in "abc"}
        self.messages["x"] = made.envelope(keyed, 1)
        self.messages["once"] = made.envelope(once, 0)
        copy = made.envelope(once, 0)
        keys = {name: self.messages["once"].headers[name] for name in ("dedupe_key", "partition_key")}
        self.messages["twin"] = replace(self.messages["once"], headers=copy.headers.with_(**keys))
        poison = made.envelope(keyed, 0)
        self.messages["p"] = replace(poison, payload=b"\xff\xfe" + poison.payload)
        self.messages["a"] = self._at(self.messages["a"], "2025-09-05T10:00:00Z")
        self.messages["b"] = self._at(self.messages["b"], "2025-09-05T11:00:00Z")
        hour = 3_600 * 1_000_000_000
        end = 1_757_070_000 * 1_000_000_000
        self.messages["ask"] = made.replay_request(self.messages["a"], (end - hour, end))

    @staticmethod
    def _at(envelope: Envelope, time: str) -> Envelope:
        return replace(envelope, headers=envelope.headers.with_(produced_at=time))

    def play(self, found: re.Match[str], at: int) -> list[Event]:
        operation = Operation(found["operation"])
        envelope = self.marked(found["message"], found["marks"] or "") if found["message"] else _NOTHING
        actor = found["actor"] or ACTORS.get(operation, "consumer")
        pattern = ""
        if operation in (Operation.SUBSCRIBE, Operation.REPLAY, Operation.DELIVER):
            pattern = f"{self.contract.topic.prefix}.{self.contract.topic.environments[0]}.>"
        if operation is not Operation.PUBLISH:
            position = int(found["last"]) if found["last"] else UNKNOWN
            return [Event(at, actor, operation, Outcome.OK, envelope, pattern=pattern, position=position)]
        ends = [] if found["last"] == "open" else [Outcome(found["last"] or "ok")]
        return [
            Event(at + number, actor, operation, outcome, envelope)
            for number, outcome in enumerate([Outcome.INVOKE, *ends])
        ]

    def marked(self, name: str, marks: str) -> Envelope:
        envelope = self.messages[name]
        for mark in re.findall(r"[~^+!?]|@\w+", marks):
            envelope = self.change(envelope, mark)
        return envelope

    def change(self, envelope: Envelope, mark: str) -> Envelope:
        headers = envelope.headers
        if mark == "~":
            return replace(envelope, payload=envelope.payload + b"\x00")
        if mark == "^":
            return replace(envelope, headers=headers.with_(source="another"))
        if mark == "+":
            request = f"replay-{len(self.messages)}"
            return replace(envelope, headers=headers.with_(**{self.contract.replay.header: request}))
        if mark == "!":
            return self.buried(envelope)
        if mark == "?":
            reason = self.contract.dead_letter.headers["reason"]
            now = headers[reason].partition(":")[0]
            other = next(code for code in self.contract.dead_letter.codes.values() if code != now)
            return replace(envelope, headers=headers.with_(**{reason: f"{other}: not so"}))
        prefix, _env, rest = envelope.topic.split(".", 2)
        return replace(envelope, topic=f"{prefix}.{mark[1:]}.{rest}")

    def buried(self, envelope: Envelope) -> Envelope:
        prefix, env, domain, _rest = envelope.topic.split(".", 3)
        added = self.contract.dead_letter.headers
        headers = {
            added["reason"]: "decode_error: not a message",
            added["origin"]: envelope.topic,
            added["payload_hash"]: sha256_of(envelope.payload),
        }
        topic = fill(self.contract.dead_letter.topic, {"prefix": prefix, "env": env, "domain": domain})
        return replace(envelope, topic=topic, headers=envelope.headers.with_(**headers))
