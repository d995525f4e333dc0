"""The reference binding: the contract's delivery rules over any transport."""

from __future__ import annotations

import asyncio
import hashlib
import random

from ampybus_contract.bindings.consumer import ConsumerGroup
from ampybus_contract.bindings.protocol import Endpoint, Handler, Subscription
from ampybus_contract.bindings.transport import Transport
from ampybus_contract.contract import Contract, default_contract
from ampybus_contract.contract.model import RetryRule
from ampybus_contract.envelope import Envelope, Topic
from ampybus_contract.envelope.codec import decompress
from ampybus_contract.errors import DecodeError, PublishError, TopicError
from ampybus_contract.validation import validate

STOP_SECONDS = 5.0


class ReferenceBinding:
    """Publishes what keeps the contract; delivers in key order, once, with bounded retries and a DLQ.

    Effects are remembered in memory for the number of messages that the contract declares, per group.
    ``seed`` decides the jitter.
    """

    capabilities = frozenset({"retry", "deduplication", "dlq"})
    group_class = ConsumerGroup

    def __init__(self, transport: Transport, contract: Contract | None = None, seed: int = 0) -> None:
        self.transport = transport
        self.contract = contract or default_contract()
        self.random = random.Random(seed)
        self.groups: list[ConsumerGroup] = []

    async def start(self, endpoint: Endpoint) -> None:
        """Connect to the broker."""
        await self.transport.open(endpoint)

    async def publish(self, envelope: Envelope) -> None:
        """Store an envelope. Raises PublishError, definite where a MUST is broken (nothing is sent)."""
        broken = [item for item in validate(envelope, self.contract) if item.level == "MUST"]
        if broken:
            words = "; ".join(f"{item.requirement} {item.where}: {item.hint}" for item in broken)
            raise PublishError(f"PUBLISH expected an envelope of the contract, got {words}", definite=True)
        await self.transport.send(envelope)

    async def subscribe(self, subscription: Subscription, handler: Handler) -> None:
        """Hand every message of the group to the handler: keys side by side, each key in order."""
        group = self.group_class(self, handler)
        await group.start(await self.transport.consume(subscription))
        self.groups.append(group)

    async def stop(self) -> None:
        """Finish what is in hand, for ``STOP_SECONDS`` at most; the rest comes again to the next consumer."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for group in self.groups:
                    tasks.create_task(group.stop(STOP_SECONDS))
        finally:
            await self.transport.close()

    def lane(self, envelope: Envelope) -> str:
        """What orders an envelope: its key within its topic's environment and domain."""
        return "|".join((*envelope.topic.split(".")[1:3], envelope.headers.get("partition_key", "")))

    def identities(self, envelope: Envelope) -> list[str]:
        """The names under which an effect is remembered: the id, and the dedupe key in its domain (D23)."""
        found = []
        if "message_id" in envelope.headers:
            found.append(f"id {envelope.headers['message_id'].lower()}")
        if "dedupe_key" in envelope.headers:
            env, domain = envelope.topic.split(".")[1:3]
            found.append(f"dedupe {env} {domain} {envelope.headers['dedupe_key']}")
        return found

    def poison(self, envelope: Envelope) -> tuple[str, str] | None:
        """The reason kind and detail for which an envelope can never be handled, or None."""
        rule = self.contract.dead_letter
        broken = [item for item in validate(envelope, self.contract) if item.level == "MUST"]
        for item in sorted(broken, key=lambda item: item.requirement not in rule.decode_requirements):
            kind = "undecodable" if item.requirement in rule.decode_requirements else "violation"
            return kind, f"{item.requirement} {item.where}"
        return None

    def is_dead_letter(self, envelope: Envelope) -> bool:
        """Whether an envelope was dead-lettered already, and so is never again (D25)."""
        parts = envelope.topic.split(".")
        domain = self.contract.domains.get(parts[2]) if len(parts) > 2 else None
        return domain is not None and domain.carries is not None

    def dead_letter(self, envelope: Envelope, kind: str, detail: str) -> Envelope:
        """The envelope for the DLQ: payload and headers unchanged, reason, origin and hash added."""
        rule = self.contract.dead_letter
        topic = self._dead_letter_topic(envelope.topic)
        plain = envelope.payload
        if envelope.headers.get("content_encoding") in self.contract.payload.encodings:
            try:
                plain = decompress(envelope.payload, self.contract.payload.decoded_at_most)
            except DecodeError:
                plain = envelope.payload
        added: dict[str, str | None] = {
            rule.headers["reason"]: f"{rule.codes[kind]}: {detail}",
            rule.headers["origin"]: envelope.topic,
            rule.headers["payload_hash"]: f"sha256:{hashlib.sha256(plain).hexdigest()}",
        }
        return Envelope(topic, envelope.headers.with_(**added), envelope.payload)

    def _dead_letter_topic(self, origin: str) -> str:
        try:
            topic = Topic.parse(origin)
        except TopicError:
            parts = [*origin.split("."), "", "", ""]
            topic = Topic(parts[0], parts[1], parts[2], "", "")
        text = self.contract.dead_letter.topic
        for name in ("prefix", "env", "domain"):
            text = text.replace(f"{{{name}}}", getattr(topic, name) or "unknown")
        return text

    def retry_rule(self, envelope: Envelope) -> RetryRule:
        """How often, after which pauses, an envelope of a declared domain is tried (D24)."""
        return self.contract.retry_of(envelope.topic.split(".")[2])

    def backoff(self, rule: RetryRule, attempt: int) -> float:
        """Seconds to wait after failed attempt number ``attempt``, from 1: growing, capped, jittered."""
        pause = min(rule.backoff_initial * rule.backoff_factor ** (attempt - 1), rule.backoff_max)
        return pause * (1 - rule.jitter * self.random.random())
