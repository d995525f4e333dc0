"""Envelopes that break the contract, in every way that one envelope can: published, and on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from ampybus_contract.bindings.process import ProcessBinding
from ampybus_contract.bindings.protocol import Settlement
from ampybus_contract.envelope import Envelope
from ampybus_contract.errors import BrokerError
from ampybus_contract.harness.breadth import Breadth
from ampybus_contract.harness.checkers import due_letters, is_dead_letter
from ampybus_contract.harness.stage import Stage, repeated
from ampybus_contract.strategies import Break, Broken, breaks, broken, covering, one_each
from ampybus_contract.strategies.mangled import MANGLINGS, mangled
from ampybus_contract.validation import is_valid

NARROW = 1
SEVERAL = 3
DRAWS = 24
STRIDE = 1_000_003


@dataclass(slots=True)
class Batch:
    """Valid envelopes, then what breaks the contract between, then valid ones of the same keys.

    Where messages of one key are repeats of one another, the valid one comes after. ``ours`` are the ones
    before and after.
    """

    stage: Stage
    before: list[Envelope] = field(default_factory=list)
    between: list[Envelope] = field(default_factory=list)
    after: list[Envelope] = field(default_factory=list)
    known: set[tuple[str, bytes]] = field(default_factory=set)
    once: set[str] = field(default_factory=set)

    @property
    def ours(self) -> list[Envelope]:
        """What must pass."""
        return [*self.before, *self.after]

    def add(self, made: Broken) -> None:
        """What breaks a requirement, with its neighbours, where the broker holds these as they are."""
        if not self._put(made.envelope):
            return
        if "dedupe_key" not in made.before.headers and not self.stage.unfit(made.before):
            self.before.append(made.before)
        self._follow(made.after)

    def add_accident(self, made: Broken, way: str) -> None:
        """A mangled envelope, and a valid one of its key."""
        other = mangled(made.before, way, self.stage.seed)
        if other is not None and self._put(other):
            self._follow(made.after)

    def _follow(self, envelope: Envelope) -> None:
        """Let a valid one come after, unless it repeats another one."""
        once = repeated(envelope)
        if once not in self.once and not self.stage.unfit(envelope):
            self.once.add(once)
            self.after.append(envelope)

    def _put(self, envelope: Envelope) -> bool:
        """Whether it can be told from all others by its id and its bytes."""
        name = (envelope.headers.get("message_id", "").lower(), envelope.payload)
        if name in self.known:
            return False
        self.known.add(name)
        self.between.append(envelope)
        return True


async def broken_publishes(stage: Stage) -> None:
    """Publish what breaks each requirement, between valid envelopes of the same key, in each environment."""
    environments = stage.contract.topic.environments
    batch = await _batch(stage, environments, _made)
    for env in environments:
        await stage.subscribe(f"{stage.contract.topic.prefix}.{env}.>", f"{env} consumer")
    await stage.publish(*batch.before, *filter(partial(_judged, stage), batch.between), *batch.after)
    await stage.settled(batch.ours)
    await stage.quiet()


async def broken_arrivals(stage: Stage) -> None:
    """Put on the wire what breaks each requirement, before consumers of domains, of topics, and of DLQs.

    Each topic has one group: of its domain in most environments, of the topic alone in one of several.
    """
    prefix, environments = stage.contract.topic.prefix, stage.contract.topic.environments
    narrow = environments[NARROW] if len(environments) >= SEVERAL else ""
    wide = [env for env in environments if env != narrow]
    batch = await _batch(stage, wide, _fitting)
    for env in wide:
        for domain in _domains(stage):
            await stage.subscribe(f"{prefix}.{env}.{domain}.>", f"{env} {domain} consumer")
    for made in _on_their_topics(stage, narrow) if narrow else ():
        batch.add(made)
        await stage.subscribe(made.after.topic, f"{made.after.topic} consumer")
    for env in environments:
        for domain in _carriers(stage):
            await stage.subscribe(f"{prefix}.{env}.{domain}.>", f"{env} operator")
    await _arrive(stage, batch)
    await stage.drained()
    await stage.backlog()


async def broken_arrivals_everywhere(stage: Stage) -> None:
    """Put on the wire what breaks each requirement, before one consumer of everything, dead letters too.

    It has no use for these: it rejects them.
    """
    batch = await _batch(stage, stage.contract.topic.environments, _fitting)

    def answer(envelope: Envelope, _attempt: int) -> Settlement:
        carried = is_dead_letter(envelope.topic, stage.contract)
        return Settlement.REJECT if carried else Settlement.OK

    await stage.subscribe(f"{stage.contract.topic.prefix}.>", answer=answer)
    await _arrive(stage, batch)


async def _batch(
    stage: Stage, environments: Sequence[str], make: Callable[[Stage, Break, str], Broken]
) -> Batch:
    """What is to be sent in these environments. Making it takes a while: others get their turn meanwhile."""
    batch = Batch(stage)
    for spot, env in chosen(stage, environments):
        batch.add(make(stage, spot, env))
        await asyncio.sleep(0)
    for made, way in accidents(stage, environments):
        batch.add_accident(made, way)
        await asyncio.sleep(0)
    return batch


async def _arrive(stage: Stage, batch: Batch) -> None:
    """Valid ones, broken ones and valid ones, until all is settled. Dead letters have no valid ones beside.

    Raises BrokerError where the broker holds nothing that is broken: the play shows nothing then.
    """
    before, after = (
        [item for item in items if not is_dead_letter(item.topic, stage.contract)]
        for items in (batch.before, batch.after)
    )
    await stage.publish(*before)
    await stage.inject(*batch.between)
    due = len(due_letters(stage.history, stage.contract))
    if not due:
        raise BrokerError("BROKER expected one that holds a broken envelope as it is. Fix: use another one")
    await stage.publish(*after)
    await stage.settled([*before, *after])
    carried = [item for item in batch.between if is_dead_letter(item.topic, stage.contract)]
    await stage.buried(due + sum(not stage.unfit(item) for item in carried))
    await stage.quiet()


def chosen(stage: Stage, environments: Sequence[str]) -> Iterator[tuple[Break, str]]:
    """The ways to play, each in one of the environments in turn, or in all of them."""
    spots = breaks(stage.contract)
    if stage.breadth is Breadth.EVERY:
        yield from ((spot, env) for spot in spots for env in environments)
        return
    few = (one_each if stage.breadth is Breadth.FEW else covering)(spots, stage.seed)
    for number, spot in enumerate(few, stage.seed):
        yield spot, environments[number % len(environments)]


def accidents(stage: Stage, environments: Sequence[str]) -> Iterator[tuple[Broken, str]]:
    """Envelopes to mangle, and how: in every way, in one domain or in each."""
    domains = _domains(stage)
    few = stage.breadth is Breadth.FEW
    spots = {spot.domain: spot for spot in breaks(stage.contract)}
    for number, domain in enumerate([domains[stage.seed % len(domains)]] if few else domains, stage.seed):
        for place, way in enumerate(MANGLINGS, 1):
            env = environments[(number + place) % len(environments)]
            yield broken(spots[domain], stage.seed + place, env=env, contract=stage.contract), way


def _on_their_topics(stage: Stage, env: str) -> Iterator[Broken]:
    """For each domain one that breaks a requirement on a topic that is right, each on another topic."""
    topics: set[str] = set()
    for domain in _domains(stage):
        spots = [spot for spot in breaks(stage.contract) if spot.domain == domain]
        start = stage.seed % len(spots)
        for spot in [*spots[start:], *spots[:start]]:
            made = _fitting(stage, spot, env)
            topic = made.after.topic
            free = made.envelope.topic == topic and topic not in topics
            if free and not is_valid(made.envelope, stage.contract):
                topics.add(topic)
                yield made
                break


def _judged(stage: Stage, envelope: Envelope) -> bool:
    """Whether a publish of it shows something.

    Left out is what breaks no MUST where the broker alters it, and what UTF-8 cannot write where the binding
    is a program of any language: it may have no strings for that.
    """
    if isinstance(stage.binding, ProcessBinding) and not _writable(envelope):
        return False
    return not is_valid(envelope, stage.contract) or not stage.unfit(envelope)


def _writable(envelope: Envelope) -> bool:
    """Whether topic and headers have a form in UTF-8."""
    try:
        "".join([envelope.topic, *envelope.headers, *envelope.headers.values()]).encode()
    except UnicodeEncodeError:
        return False
    return True


def _made(stage: Stage, spot: Break, env: str) -> Broken:
    return broken(spot, stage.seed, env=env, contract=stage.contract)


def _fitting(stage: Stage, spot: Break, env: str) -> Broken:
    """The first of some that the broker holds as it is, else the first."""
    first = _made(stage, spot, env)
    if not stage.unfit(first.envelope):
        return first
    others = (
        broken(spot, stage.seed + STRIDE * number, env=env, contract=stage.contract)
        for number in range(1, DRAWS)
    )
    return next((made for made in others if not stage.unfit(made.envelope)), first)


def _domains(stage: Stage) -> list[str]:
    """The domains that have payload types."""
    return [name for name, rule in stage.contract.domains.items() if rule.payloads]


def _carriers(stage: Stage) -> list[str]:
    """The domains that carry the messages of others."""
    return [name for name, rule in stage.contract.domains.items() if rule.carries]
