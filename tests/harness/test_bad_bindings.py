"""Whatever a binding does, there is a verdict about it: no traceback, no hang, and no pass for nothing."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from typing import Any

import pytest

from ampybus_contract.bindings.memory import MemoryTransport
from ampybus_contract.bindings.protocol import Binding, Endpoint, Handler, Subscription
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.brokers.memory import MemorySource
from ampybus_contract.contract import default_contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.errors import PublishError
from ampybus_contract.harness import watchdog
from ampybus_contract.harness.judge import Judge
from ampybus_contract.harness.suites import suites
from ampybus_contract.harness.verdicts import Result, Verdict
from ampybus_contract.harness.workload import Workload
from ampybus_contract.report.document import Heading, RunReport, run_report
from ampybus_contract.report.profiles import ProfileVerdict
from ampybus_contract.report.statement import verdict

CONTRACT = default_contract()
EVERYTHING = frozenset(rule.claim for rule in CONTRACT.checks.values() if rule.claim)
METHODS = ("start", "publish", "subscribe", "stop")
BLOCKED_SECONDS = 0.3


def judged(
    factory: Callable[[], Binding], check: str, seed: int = 1, blocked: float = watchdog.BLOCKED_SECONDS
) -> Result:
    judge = Judge(CONTRACT, MemorySource(), factory, seed, blocked=blocked)
    return judge.judge(check, suites()[check].scenario, suites()[check].checkers)


def whole_run(factory: Callable[[], Binding], seed: int = 1) -> RunReport:
    results = [judged(factory, check, seed) for check in CONTRACT.judged]
    heading = Heading("bad", None, "memory simulator", {}, seed)
    return run_report(CONTRACT, f"sha256:{'0' * 64}", "2026-01-02T03:04:05Z", heading, results)


def breaking(method: str, act: Callable[[], Any]) -> Callable[[], Binding]:
    """A correct binding in which one method does something else."""

    async def broken(_self: Any, *_given: Any) -> None:
        await act()

    kind = type("Broken", (ReferenceBinding,), {method: broken})

    def make() -> Binding:
        made: Binding = kind(MemoryTransport())
        return made

    return make


async def raises() -> None:
    raise ZeroDivisionError("by mistake")


async def hangs() -> None:
    await asyncio.Event().wait()


async def exits() -> None:
    raise SystemExit("enough")


async def blocks() -> None:
    until = time.monotonic() + 20 * BLOCKED_SECONDS
    while time.monotonic() < until:
        try:
            time.sleep(BLOCKED_SECONDS / 10)
        except Exception:
            continue


async def spins() -> None:
    while True:
        await asyncio.sleep(0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("act", [raises, hangs, exits, blocks, spins], ids=lambda act: str(act.__name__))
def test_a_method_that_misbehaves_gets_a_verdict(method: str, act: Callable[[], Any]) -> None:
    never_gives_back = act in (blocks, spins)
    blocked = BLOCKED_SECONDS if never_gives_back else watchdog.BLOCKED_SECONDS
    found = judged(breaking(method, act), "ENV-01", blocked=blocked)
    assert found.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE)
    assert found.reason
    if act is not raises or method != "publish":
        assert found.reason.startswith("BINDING expected")


class Floods(ReferenceBinding):
    """Hands each message over again and again, without a pause."""

    async def subscribe(self, subscription: Subscription, handler: Handler) -> None:
        async def again(envelope: Envelope) -> Any:
            while True:
                await handler(envelope)

        await super().subscribe(subscription, again)


def test_a_flood_of_deliveries_is_a_verdict() -> None:
    found = judged(lambda: Floods(MemoryTransport()), "ENV-03")
    assert (found.verdict, "got more" in found.reason) == (Verdict.FAIL, True)


class Fickle(ReferenceBinding):
    """Claims something else each time it is asked."""

    count = itertools.count()

    def __getattribute__(self, name: str) -> Any:
        if name == "capabilities":
            return {"retry"} if next(Fickle.count) % 2 else {"dlq"}
        return super().__getattribute__(name)


class Reconsiders(ReferenceBinding):
    """Claims less once it has published."""

    published = False

    @property
    def capabilities(self) -> frozenset[str]:
        return frozenset() if self.published else super().capabilities

    async def publish(self, envelope: Envelope) -> None:
        await super().publish(envelope)
        self.published = True


@pytest.mark.parametrize("kind", [Fickle, Reconsiders])
def test_changing_claims_are_a_verdict(kind: type[ReferenceBinding]) -> None:
    found = judged(lambda: kind(MemoryTransport()), "ENV-01")
    assert found.verdict is Verdict.FAIL
    assert "expected the same capabilities all the time" in found.reason


def test_claims_that_differ_between_checks_are_a_verdict() -> None:
    sets = iter([{"retry"}, {"retry"}, {"dlq"}, {"dlq"}])

    class Moody(ReferenceBinding):
        def __init__(self) -> None:
            super().__init__(MemoryTransport())
            self.claimed = frozenset(next(sets))

        @property
        def capabilities(self) -> frozenset[str]:
            return self.claimed

    judge = Judge(CONTRACT, MemorySource(), Moody, 1)
    suite = suites()["ENV-03"]
    first, second = (judge.judge("ENV-03", suite.scenario, suite.checkers) for _ in range(2))
    assert first.verdict is Verdict.PASS
    assert second.verdict is Verdict.FAIL
    assert "expected the same capabilities" in second.reason


class Nods:
    """Answers ok to everything and does nothing."""

    capabilities: frozenset[str] = frozenset()

    async def start(self, endpoint: Endpoint) -> None: ...

    async def publish(self, envelope: Envelope) -> None: ...

    async def subscribe(self, subscription: Subscription, handler: Handler) -> None: ...

    async def stop(self) -> None: ...


class Boasts(Nods):
    """Claims everything and does nothing."""

    capabilities = EVERYTHING

    async def redrive(self, pattern: str, limit: int) -> int:
        return limit

    async def crash(self) -> None: ...

    async def kill(self) -> None: ...

    async def take_replays(self, subscription: Subscription, handler: Handler) -> None: ...

    async def resume(self, subscription: Subscription, handler: Handler) -> None: ...

    async def lag(self, group: str) -> int:
        return 0

    async def slow_down(self, levels: int) -> None: ...


class Declines(Nods):
    """Claims nothing, and refuses whatever it is asked."""

    async def publish(self, envelope: Envelope) -> None:
        raise PublishError("PUBLISH not today", definite=True)


class Denies(Nods):
    """Claims nothing, and says that nothing is known of what it did."""

    async def publish(self, envelope: Envelope) -> None:
        raise PublishError("PUBLISH perhaps", definite=False)


@pytest.mark.parametrize("kind", [Nods, Boasts, Declines, Denies])
def test_a_binding_that_does_nothing_passes_no_check_and_no_profile(kind: type[Nods]) -> None:
    run = whole_run(kind)
    assert [item.id for item in run.checks if item.verdict is Verdict.PASS] == []
    assert ProfileVerdict.PASSED not in run.profiles.values()
    assert not verdict(run).startswith("conformant")
    assert run.reconciles
    assert sum(run.counts.values()) == len(CONTRACT.judged)


def seen_by(seed: int) -> tuple[set[str], set[str]]:
    """The header values and the group names that a binding meets in a run with this seed."""
    values: set[str] = set()
    groups: set[str] = set()

    class Notes(ReferenceBinding):
        async def publish(self, envelope: Envelope) -> None:
            values.update(
                f"{name}={value}" for name, value in envelope.headers.items() if name in IDENTIFYING
            )
            await super().publish(envelope)

        async def subscribe(self, subscription: Subscription, handler: Handler) -> None:
            groups.add(subscription.group)
            await super().subscribe(subscription, handler)

    for check in ("ENV-01", "ORD-01", "IDM-01"):
        assert judged(lambda: Notes(MemoryTransport()), check, seed).verdict is Verdict.PASS
    return values, groups


IDENTIFYING = ("message_id", "producer", "source", "run_id", "trace_id")


def test_no_id_or_name_is_the_same_for_two_seeds() -> None:
    (values, groups), (others, other_groups) = seen_by(1), seen_by(2)
    assert values and groups
    assert not values & others
    assert not groups & other_groups


def test_a_binding_that_knows_the_ids_of_one_seed_fails_with_another() -> None:
    known = {Workload(CONTRACT, 1).envelope("bars").headers[name] for name in ("producer", "run_id")}

    class Recognises(ReferenceBinding):
        async def publish(self, envelope: Envelope) -> None:
            if known & set(envelope.headers.values()):
                await super().publish(envelope)

    assert judged(lambda: Recognises(MemoryTransport()), "ORD-01", 1).verdict is Verdict.PASS
    run = whole_run(lambda: Recognises(MemoryTransport()), 2)
    assert not verdict(run).startswith("conformant")
    assert ProfileVerdict.PASSED not in run.profiles.values()
