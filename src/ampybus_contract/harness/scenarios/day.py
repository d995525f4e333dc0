"""A trading day: all domains and environments at once, with all that goes wrong in thirty hours."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle

from ampybus_contract.bindings.protocol import Settlement
from ampybus_contract.brokers.levers import Clock
from ampybus_contract.envelope import Envelope, Topic
from ampybus_contract.envelope.instant import instant_text
from ampybus_contract.harness.breadth import Breadth
from ampybus_contract.harness.history import RAISED
from ampybus_contract.harness.scenarios.breadth import all_applied, answered, publish_side_by_side
from ampybus_contract.harness.stage import Stage
from ampybus_contract.harness.variety import Variety
from ampybus_contract.validation import validate

HOURS = 30
STEPS_AN_HOUR = 5
SIMULATED, REAL = 20_000, 1_500
TEMPLATES = 6
TRIES = 50
SHARES = {"market_data": 8, "execution": 4, "reference": 1, "telemetry": 3}
UNIQUE_SHARE = 4
"""How many messages of a round are of a domain of each tier; with keys of their own, so many times more."""
FAILING = {"retry": 40, "retry twice": 90, RAISED: 60, "reject": 250, "never": 300}
"""What a handler does with one of so many messages."""
REPEATED = 50
QUIET_HOURS = (4, 5)
RESTARTS = {2: "stop", 25: "kill", 27: "stop"}
REDRIVES = (9, 20, HOURS - 1)
REPLAYS = (13, 21)
LONGEST = 20.0
HOUR_SECONDS = 3_600.0
SECOND, MILLISECOND = 1_000_000_000, 1_000_000
SINK = "replayer"


@dataclass(frozen=True, slots=True)
class _Moment:
    """One step of the day."""

    hour: int
    first: bool
    made: Sequence[Envelope]


class _Day:
    """The messages of a day, what their handlers do, and what is done beside them."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.variety = Variety(stage.contract, stage.workload.seed)
        small = stage.breadth is Breadth.FEW or not stage.virtual
        self.count = REAL if small else SIMULATED
        self.templates = {
            (domain, env): [self._template(domain, env) for _ in range(TEMPLATES)]
            for domain in self.variety.domains
            for env in stage.contract.topic.environments
        }
        prefix = stage.contract.topic.prefix
        self.groups = {
            f"{env} {domain} consumer": ".".join([*made[0].topic.split(".")[:4], ">"])
            for (domain, env), made in self.templates.items()
        }
        self.groups |= {f"{env} archive": f"{prefix}.{env}.>" for _, env in self.templates}
        self.made: list[Envelope] = []
        self.published: list[Envelope] = []
        self.answers: dict[str, tuple[str, ...]] = {}
        self.step = 0
        self.mended: set[str] = set()
        self.began = stage.workload.epoch_ms * MILLISECOND

    def moments(self) -> Iterator[_Moment]:
        """Step after step; in the quiet hours nothing is published."""
        steps = (HOURS - len(QUIET_HOURS)) * STEPS_AN_HOUR
        places = cycle(self._places())
        for hour in range(HOURS):
            for step in range(STEPS_AN_HOUR):
                self.step += 1
                share = 0 if hour in QUIET_HOURS else -(-self.count // steps)
                yield _Moment(hour, step == 0, [self._message(next(places)) for _ in range(share)])

    def answer(self, envelope: Envelope, attempt: int) -> Settlement:
        """As planned for the message; raises where the plan says so."""
        name = envelope.headers.get("message_id", "").lower()
        return answered(() if name in self.mended else self.answers.get(name, ()), attempt)

    async def listen(self) -> None:
        """Subscribe all groups, at the beginning and after a restart."""
        claims = self.stage.claims
        for group, pattern in self.groups.items():
            answered = group.endswith("consumer") and "retry" in claims
            await self.stage.subscribe(pattern, group, answer=self.answer if answered else None)

    def failing(self) -> list[Envelope]:
        """What was published and is set aside if nobody mends its handler."""
        return [item for item in self.published if self._fails(item)]

    async def kept_up(self) -> bool:
        """Whether all of the last hour was applied; a binding that stands still need not be waited for."""
        share = -(-self.count // (HOURS - len(QUIET_HOURS)))
        failing = {item.headers["message_id"] for item in self.failing()}
        last = [item for item in self.published[-share:] if item.headers["message_id"] not in failing]
        return await all_applied(self.stage, self.groups, last, LONGEST)

    def repeats(self, hour: int) -> list[Envelope]:
        """Messages of an hour ago and of long ago, to be put on the wire again."""
        known = self.published
        if "deduplication" not in self.stage.claims or not known:
            return []
        chosen = self.variety.random.sample(known, max(len(known) // REPEATED // (hour + 1), 1))
        twins = [self.variety.renamed(item) for item in chosen if "dedupe_key" in item.headers]
        return [*chosen, *twins]

    def _template(self, domain: str, env: str) -> Envelope:
        """An envelope without any finding, which is the quickest to judge."""
        made = (self.variety.any_of(domain, env) for _ in range(TRIES))
        clean = (item for item in made if not validate(item, self.stage.contract))
        return next(clean, self.variety.any_of(domain, env))

    def _places(self) -> list[tuple[str, str]]:
        """Domain and environment of each message of a round."""
        tiers: dict[str, list[str]] = defaultdict(list)
        for domain in self.variety.domains:
            tiers[self.stage.contract.domains[domain].tier].append(domain)
        found = [
            (domain, env)
            for tier, domains in tiers.items()
            for domain in domains
            for env in self.stage.contract.topic.environments
            for _ in range(self._share(domain, tier))
        ]
        self.variety.random.shuffle(found)
        return found

    def _share(self, domain: str, tier: str) -> int:
        unique = self.stage.contract.domains[domain].dedupe_key is not None
        return SHARES.get(tier, 1) * (UNIQUE_SHARE if unique else 1)

    def _message(self, place: tuple[str, str]) -> Envelope:
        domain, env = place
        unique = self.stage.contract.domains[domain].dedupe_key is not None
        if unique and domain in self.stage.workload.domains:
            made = self.stage.workload.envelope(domain, len(self.made), env=env)
        else:
            made = self.variety.renamed(self.templates[place][self.step % TEMPLATES])
        now = self.began + int(asyncio.get_running_loop().time() * SECOND)
        header = self.stage.contract.replay.window["header"]
        made = replace(made, headers=made.headers.with_(**{header: instant_text(now + len(self.made))}))
        self._plan(made)
        self.made.append(made)
        return made

    def _plan(self, made: Envelope) -> None:
        name, number = made.headers["message_id"].lower(), len(self.made)
        plans = {
            "retry": ("retry",),
            "retry twice": ("retry", "retry"),
            RAISED: (RAISED,),
            "reject": ("reject",),
            "never": ("retry",) * 20,
        }
        for kind, every in FAILING.items():
            if number % every == every - 1:
                self.answers[name] = plans[kind]

    def _fails(self, envelope: Envelope) -> bool:
        name = envelope.headers["message_id"].lower()
        before = () if name in self.mended else self.answers.get(name, ())
        attempts = self.stage.contract.retry_of(Topic.parse(envelope.topic).domain).attempts
        return "retry" in self.stage.claims and ("reject" in before or len(before) >= attempts)


async def trading_day(stage: Stage) -> None:
    """Thirty hours of all domains: restarts, failing handlers, repeats, redrives and replays beside traffic.

    Where time is real, the same with fewer messages and without the pauses.
    """
    day = _Day(stage)
    if isinstance(stage.probe, Clock):
        day.began = await stage.probe.now()
    await day.listen()
    for moment in day.moments():
        if moment.first:
            if not await day.kept_up():
                return
            await _incidents(stage, day, moment.hour)
        await publish_side_by_side(stage, moment.made)
        day.published += moment.made
        if stage.virtual:
            await asyncio.sleep(HOUR_SECONDS / STEPS_AN_HOUR)
    await _settled(stage, day)


async def _incidents(stage: Stage, day: _Day, hour: int) -> None:
    """What happens at the full hour."""
    await stage.inject(*day.repeats(hour))
    how = RESTARTS.get(hour)
    if how == "kill" and "kill" in stage.claims and "durable_effects" in stage.claims:
        await stage.kill()
        await day.listen()
    elif how is not None:
        await stage.stop()
        await stage.begin_again()
        await day.listen()
    if hour in REDRIVES:
        await _redrive(stage, day)


async def _redrive(stage: Stage, day: _Day) -> None:
    """Mend all handlers, and publish again what was set aside."""
    if "redrive" not in stage.claims:
        return
    failing = day.failing()
    await stage.buried(len(failing), LONGEST)
    day.mended |= {item.headers["message_id"].lower() for item in failing}
    for env in stage.contract.topic.environments:
        await stage.redrive(stage.dead_letters(">", env), len(failing))


async def _settled(stage: Stage, day: _Day) -> None:
    """Wait until all that can be applied is."""
    await _redrive(stage, day)
    gone = {item.headers["message_id"].lower() for item in day.failing()}
    due = [item for item in day.published if item.headers["message_id"].lower() not in gone]
    await all_applied(stage, day.groups, due, LONGEST)
    await stage.quiet()
