"""The reference binding: the contract's delivery rules over any transport."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ampybus_contract.bindings.backpressure import Throttle
from ampybus_contract.bindings.checkpoints import CheckpointGroup, Checkpoints
from ampybus_contract.bindings.consumer import ConsumerGroup
from ampybus_contract.bindings.effects import EffectStore, MemoryEffects, SqliteEffects
from ampybus_contract.bindings.observer import Observer
from ampybus_contract.bindings.protocol import Endpoint, Handler, Subscription
from ampybus_contract.bindings.replay import Replayer
from ampybus_contract.bindings.sessions import damages, write_session
from ampybus_contract.bindings.transport import (
    Encrypts,
    Follows,
    Incoming,
    Leaves,
    Measures,
    Reads,
    Shares,
    Span,
    Transport,
)
from ampybus_contract.bindings.turns import Turns
from ampybus_contract.contract import Contract, default_contract
from ampybus_contract.contract.model import RetryRule
from ampybus_contract.envelope import Envelope, Topic
from ampybus_contract.envelope.digest import decoded_digest
from ampybus_contract.errors import BlobError, BrokerError, PublishError, TopicError
from ampybus_contract.validation import Finding, validate, validator
from ampybus_contract.validation.subscribable import see_group, see_pattern

if TYPE_CHECKING:
    from ampybus_contract.bindings.pointers import Pointers

STOP_SECONDS = 5.0
PUBLISH_ATTEMPTS = 2
REDRIVE_SECONDS = 2.0
REDRIVE_TRIES = 5
LAG_SECONDS = 1.0
TOPICS_KEPT = 16_384
CAPABILITIES = frozenset(
    {"retry", "deduplication", "dlq", "redrive", "durable_effects", "backpressure", "pointer", "kill"}
    | {"metrics", "logs", "tracing"}
)


class ReferenceBinding:
    """Publishes what keeps the contract; delivers in key order, once, with bounded retries and a DLQ.

    Effects are remembered for the number of names that the contract declares, in a file where the endpoint
    has a place for one. ``seed`` decides the jitter. An ``observer`` is told what happens; without one, and
    where the endpoint has a directory for it, the binding writes telemetry there.
    """

    group_class = ConsumerGroup
    replayer_class = Replayer
    checkpoint_group_class = CheckpointGroup

    def __init__(
        self,
        transport: Transport,
        contract: Contract | None = None,
        seed: int = 0,
        observer: Observer | None = None,
    ) -> None:
        self.transport = transport
        self.observer = observer or Observer()
        self.watched = observer is not None
        self.pointers: Pointers | None = None
        self.turns = Turns()
        self.contract = contract or default_contract()
        self.clean = validator(self.contract).fast.clean
        self.throttle = Throttle(self.contract)
        self.random = random.Random(seed)
        self.groups: list[ConsumerGroup] = []
        self.replayed: list[ConsumerGroup] = []
        self.effects: EffectStore = MemoryEffects(self.contract.effects_remembered)
        self.checkpoints: Checkpoints | None = None
        self.state: Path | None = None
        self.doomed = False
        self.dead = asyncio.Event()
        self.measuring: asyncio.Task[None] | None = None

    @property
    def capabilities(self) -> frozenset[str]:
        """What it claims; some of it depends on what the transport can do."""
        offered = {
            "replay": isinstance(self.transport, Reads),
            "audit": isinstance(self.transport, Reads),
            "checkpoint": isinstance(self.transport, Follows),
            "lag": isinstance(self.transport, Measures),
            "tls": isinstance(self.transport, Encrypts),
            "groups": isinstance(self.transport, Shares),
        }
        return CAPABILITIES | {name for name, has in offered.items() if has}

    async def start(self, endpoint: Endpoint) -> None:
        """Connect to the broker. Where that fails, nothing is left open."""
        if endpoint.blobs is not None:
            self.pointers = self.pointers_below(endpoint.blobs)
        self.state = endpoint.state
        await self.transport.open(endpoint)
        self.effects = self.effect_store(endpoint)
        if not self.watched and endpoint.telemetry is not None:
            self.observer = self.telemetry(endpoint.telemetry)
        if not self.observer.blind:
            self.measuring = asyncio.create_task(self._measure_again())

    def pointers_below(self, base: str) -> Pointers:
        """What stores and fetches large payloads below a base URI. Needs the extra ``blobs``."""
        from ampybus_contract.bindings.pointers import Pointers  # noqa: PLC0415  needs an extra

        return Pointers(self.contract, base)

    def telemetry(self, directory: Path) -> Observer:
        """What writes telemetry into a directory. Needs the extra ``telemetry``."""
        from ampybus_contract.bindings.telemetry import FileTelemetry  # noqa: PLC0415  needs an extra

        return FileTelemetry(self.contract, directory)

    async def publish(self, envelope: Envelope) -> None:
        """Store an envelope. Raises PublishError, definite where a MUST is broken (nothing is sent)."""
        broken = () if self.clean(envelope) else self.broken(envelope)
        if broken:
            words = "; ".join(f"{item.requirement} {item.where}: {item.hint}" for item in broken)
            raise PublishError(f"PUBLISH expected an envelope of the contract, got {words}", definite=True)
        if not self.throttle.calm:
            await self.throttle.admit(envelope.topic.split(".")[2])
        if self.pointers is not None:
            envelope = await self.packed(envelope, self.pointers)
        if self.observer.blind:
            await self.send(envelope)
            return
        with self.observer.publishing(envelope) as traced:
            await self.send(traced)

    def broken(self, envelope: Envelope) -> list[Finding]:
        """The MUSTs that an envelope breaks; its sent size is none where large payloads are stored."""
        known = self.pointers is not None and not self.is_dead_letter(envelope)
        size = self.contract.payload.requirements["sent"] if known else None
        return [item for item in self.violations(envelope) if item.requirement != size]

    def violations(self, envelope: Envelope) -> list[Finding]:
        """The MUSTs that an envelope breaks."""
        return [item for item in validate(envelope, self.contract) if item.level == "MUST"]

    async def packed(self, envelope: Envelope, pointers: Pointers) -> Envelope:
        """The envelope to send: a pointer where the payload is too large. Raises PublishError, definite."""
        try:
            return await pointers.outgoing(envelope)
        except BlobError as error:
            raise PublishError(
                f"PUBLISH expected to store the payload, got {error}", definite=True
            ) from error

    async def content(self, envelope: Envelope) -> Envelope:
        """The envelope to handle: with the stored payload where it is a pointer. Raises BlobError."""
        if self.pointers is None or self.is_dead_letter(envelope):
            return envelope
        return await self.pointers.incoming(envelope)

    async def slow_down(self, levels: int) -> None:
        """Hold back the domains of so many of the lowest priorities; 0 lets all go (D28)."""
        self.throttle.slow(levels)

    async def lag(self, group: str) -> int:
        """Records that the broker holds for a group and that are not settled."""
        assert isinstance(self.transport, Measures)
        return await self.transport.lag(group)

    async def measure(self) -> None:
        """Tell the observer how far each group is behind, where the broker says it.

        What a group took does not tell what has been stored since; a group that is full or stuck takes none.
        """
        for group in self.groups if isinstance(self.transport, Measures) else ():
            if group.last is not None and group.at_broker:
                with contextlib.suppress(BrokerError):
                    self.observer.lagging(group.name, group.last, await self.lag(group.name))

    async def _measure_again(self) -> None:
        while True:
            await asyncio.sleep(LAG_SECONDS)
            await self.measure()

    async def send(self, envelope: Envelope) -> None:
        """Store; an indefinite outcome is tried again, as the same message (D22).

        A refusal after an attempt without an answer does not say that nothing is stored: it is indefinite.
        """
        for attempt in range(1, PUBLISH_ATTEMPTS + 1):
            try:
                await self.transport.send(envelope)
                return
            except PublishError as error:
                if error.definite and attempt > 1:
                    raise PublishError(
                        f"{error} An attempt before had no answer: the message may be stored", definite=False
                    ) from error
                if error.definite or attempt == PUBLISH_ATTEMPTS:
                    raise

    async def redrive(self, pattern: str, limit: int) -> int:
        """Publish again at most ``limit`` dead letters of the DLQ topics under ``pattern``; gives how many.

        A letter without an origin in its own environment stays where it is (D5).
        """
        see_pattern(pattern, self.contract)
        group = f"redrive {pattern}"
        messages = await self.transport.consume(Subscription(pattern, group))
        done = 0
        while done < limit:
            incoming = await self._letter(messages, group)
            if incoming is None:
                break
            await self.republish(incoming)
            await incoming.ack()
            done += 1
        await self.leave([group])
        return done

    async def _letter(self, messages: AsyncIterator[Incoming], group: str) -> Incoming | None:
        """The next letter of a redrive; None where none comes and the broker holds none for the group.

        Who joins a group may have to wait for its members of before.
        """
        coming: asyncio.Future[Incoming] = asyncio.ensure_future(anext(messages))
        try:
            for _ in range(REDRIVE_TRIES):
                done, _ = await asyncio.wait({coming}, timeout=REDRIVE_SECONDS)
                if done:
                    return coming.result()
                if not isinstance(self.transport, Measures) or not await self.lag(group):
                    return None
            return None
        finally:
            if not coming.done():
                coming.cancel()
                await asyncio.wait({coming})

    async def leave(self, groups: Iterable[str]) -> None:
        """Hand back what is not acknowledged in these groups, where the transport can."""
        if isinstance(self.transport, Leaves):
            await asyncio.gather(*map(self.transport.leave, groups))

    async def republish(self, incoming: Incoming) -> None:
        """Publish the message that a dead letter is about."""
        again = self.restored(incoming.envelope)
        if again.topic.split(".")[1:2] == incoming.envelope.topic.split(".")[1:2]:
            with self.observer.routing(again, again.topic):
                await self.transport.send(again, f"redrive.{incoming.position}.")

    def restored(self, letter: Envelope) -> Envelope:
        """A dead letter as it first was: its topic, and its headers without those the DLQ added."""
        added: dict[str, str | None] = dict.fromkeys(self.contract.dead_letter.headers.values())
        topic = letter.headers.get(self.contract.dead_letter.headers["origin"], "")
        return Envelope(topic, letter.headers.with_(**added), letter.payload)

    def effect_store(self, endpoint: Endpoint) -> EffectStore:
        """Where effects are remembered: a file where there is a place for it, else memory."""
        limit = self.contract.effects_remembered
        if endpoint.state is None:
            return MemoryEffects(limit)
        return SqliteEffects(endpoint.state / "effects.sqlite", limit)

    async def crash(self) -> None:
        """End without another acknowledgement as soon as the next effect is remembered."""
        self.doomed = True
        await self.dead.wait()

    async def die(self) -> None:
        """Let everything go at once, as a killed process does. Does not return."""
        await self.kill()
        self.dead.set()
        raise asyncio.CancelledError

    async def kill(self) -> None:
        """Let everything go at once, as a killed process does."""
        for group in (*self.groups, *self.replayed):
            await group.kill()
        await self.close()

    async def close(self) -> None:
        """Let go of the broker and of files."""
        if self.measuring is not None:
            self.measuring.cancel()
        await self.transport.close()
        self.effects.close()
        self.observer.close()
        if self.checkpoints is not None:
            self.checkpoints.close()

    async def resume(self, subscription: Subscription, handler: Handler) -> None:
        """Hand over what is stored after the group's checkpoint, and then what comes (D27).

        Raises SubscriptionError where nothing could come, CheckpointError where the checkpoints are no use.
        """
        assert isinstance(self.transport, Follows)
        self.see(subscription)
        if self.checkpoints is None:
            self.checkpoints = Checkpoints(self.state and self.state / "checkpoints.sqlite")
        group = self.checkpoint_group_class(self, subscription.group, handler, self.checkpoints)
        followed = self.transport.follow(subscription.pattern, group.after)
        await group.start(group.unsettled(followed))
        self.groups.append(group)

    async def subscribe(self, subscription: Subscription, handler: Handler) -> None:
        """Hand every message of the group to the handler: keys side by side, each key in order.

        Raises SubscriptionError where nothing could come, BrokerError where the broker does not let it.
        """
        self.see(subscription)
        group = self.group_class(self, subscription.group, handler)
        await group.start(await self.transport.consume(subscription))
        self.groups.append(group)

    def see(self, subscription: Subscription) -> None:
        """Return where a subscription can get something, else raise SubscriptionError."""
        see_pattern(subscription.pattern, self.contract)
        see_group(subscription.group)

    async def take_replays(self, subscription: Subscription, handler: Handler) -> None:
        """Hand the sink what requests on the control topic ask for, from now on."""
        self.see(subscription)
        replayer = self.replayer_class(self, subscription, handler)
        self.replayed.append(replayer.group)
        await replayer.start()

    async def capture(self, pattern: str, session: Path) -> None:
        """Write what is stored under a pattern into a session file (D37).

        Raises SubscriptionError where nothing could be there, BrokerError where the broker does not give it.
        """
        assert isinstance(self.transport, Reads)
        see_pattern(pattern, self.contract)
        found = [item.envelope async for item in self.transport.read(pattern, Span(None, None))]
        write_session(session, pattern, found, self.contract)

    async def audit(self, session: Path) -> Sequence[tuple[str, int]]:
        """What is wrong with a session file, by the numbers of records. Raises HistoryError."""
        return damages(session)

    async def stop(self) -> None:
        """Finish what is in hand, for ``STOP_SECONDS`` at most; the rest comes again to the next consumer."""
        self.throttle.close()
        try:
            async with asyncio.TaskGroup() as tasks:
                for group in (*self.groups, *self.replayed):
                    tasks.create_task(group.stop(STOP_SECONDS))
            await self.measure()
            await self.leave([group.name for group in self.groups])
        finally:
            await self.close()

    def lane(self, envelope: Envelope) -> str:
        """What orders an envelope: its key within its topic's environment and domain."""
        return _family(envelope.topic) + envelope.headers.plain.get("partition_key", "")

    def identities(self, envelope: Envelope) -> list[str]:
        """The names under which an effect is remembered: the id, and the dedupe key in its domain (D23)."""
        headers = envelope.headers.plain
        found = []
        if "message_id" in headers:
            found.append(f"id {headers['message_id'].lower()}")
        if "dedupe_key" in headers:
            env, domain = envelope.topic.split(".")[1:3]
            found.append(f"dedupe {env} {domain} {headers['dedupe_key']}")
        return found

    def poison(self, envelope: Envelope) -> tuple[str, str] | None:
        """The reason kind and detail for which what arrived can never be handled, or None."""
        return self._kind_of(self.violations(envelope))

    def poison_fetched(self, content: Envelope) -> tuple[str, str] | None:
        """As ``poison``, of an envelope whose payload was stored apart, and so may have any size."""
        return self._kind_of(self.broken(content))

    def _kind_of(self, broken: Sequence[Finding]) -> tuple[str, str] | None:
        if not broken:
            return None
        rule = self.contract.dead_letter
        item = min(broken, key=lambda item: item.requirement not in rule.decode_requirements)
        kind = "undecodable" if item.requirement in rule.decode_requirements else "violation"
        return kind, f"{item.requirement} {item.where}"

    def is_dead_letter(self, envelope: Envelope) -> bool:
        """Whether an envelope was dead-lettered already, and so is never again (D25)."""
        domain = self.contract.domains.get(_domain(envelope.topic))
        return domain is not None and domain.carries is not None

    def dead_letter(self, envelope: Envelope, kind: str, detail: str) -> Envelope:
        """The envelope for the DLQ: payload and headers unchanged, reason, origin and hash added."""
        rule = self.contract.dead_letter
        topic = self._dead_letter_topic(envelope.topic)
        added: dict[str, str | None] = {
            rule.headers["reason"]: f"{rule.codes[kind]}: {detail}",
            rule.headers["origin"]: envelope.topic,
            rule.headers["payload_hash"]: decoded_digest(envelope, self.contract),
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
        return self.contract.retry_of(_domain(envelope.topic))

    def backoff(self, rule: RetryRule, attempt: int) -> float:
        """Seconds to wait after failed attempt number ``attempt``, from 1: growing, capped, jittered."""
        return rule.pause(attempt) * (1 - rule.jitter * self.random.random())


@lru_cache(TOPICS_KEPT)
def _family(topic: str) -> str:
    """Environment and domain of a topic, each with a separator behind."""
    return "".join(f"{token}|" for token in topic.split(".")[1:3])


@lru_cache(TOPICS_KEPT)
def _domain(topic: str) -> str:
    """The domain of a topic; empty where it names none."""
    return "".join(topic.split(".")[2:3])
