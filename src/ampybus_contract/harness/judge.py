"""Play a scenario on a fresh stream and let checkers judge the history."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from ampybus_contract.bindings.protocol import Binding
from ampybus_contract.brokers.protocol import Broker
from ampybus_contract.brokers.simulation import Schedule, write_schedule
from ampybus_contract.contract import CheckRule, Contract
from ampybus_contract.errors import BindingCrashError, BrokerError, HistoryError
from ampybus_contract.harness.checkers import (
    Checker,
    History,
    lost_write,
    nothing_shown,
    refused_valid,
    unanswered,
    unseen,
)
from ampybus_contract.harness.checkers.invariants import broken_invariants
from ampybus_contract.harness.checkers.progress import stuck
from ampybus_contract.harness.history import Event
from ampybus_contract.harness.measurements import measurements
from ampybus_contract.harness.playing import SIMULATION, Place, furnished, play, simulation
from ampybus_contract.harness.recording import Head, write_history
from ampybus_contract.harness.scenarios.incidents import playable
from ampybus_contract.harness.schedules import EFFORTS, Bounds, Budget, Effort, Scenario, Scheduled, search
from ampybus_contract.harness.stage import changed_claims, claims
from ampybus_contract.harness.verdicts import Result, Verdict, evidence
from ampybus_contract.harness.watchdog import BLOCKED_SECONDS, BlockedLoop, Watchdog

BindingFactory = Callable[[], Binding]

PATIENCE_SECONDS = 5.0
COMPLETE = (refused_valid, unanswered, lost_write, unseen)
TELEMETRY = frozenset({"metrics", "logs", "tracing"})
SHOWN_ANOMALIES = 20
REAL_PLAYS = 40
REAL_MESSAGES = 20
REAL_FAULTS = 4
REAL_SECONDS = (0.1, 0.3, 1.0)
METHODS = ("start", "publish", "subscribe", "stop")


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges bindings made by a factory, on one broker, by one contract; ``seed`` decides the workload.

    ``patience`` is how long, in seconds, to wait for what must happen; the wait ends when it has happened.
    ``recovery`` is how long to wait, in seconds, until a binding goes on after a fault: None is the time of
    the contract, and where it did not go on within less, there is no verdict.
    ``name`` is what the command line calls the binding, ``histories`` a directory to record them in.
    ``effort`` says how many schedules are played; one that fails is made small and saved in the directory
    ``failing``, if there is one. ``schedule`` is the only one to play instead. ``again`` gives the command
    that judges a check again.
    A binding that keeps the event loop to itself for ``blocked`` seconds of real time has failed.
    """

    contract: Contract
    broker: Broker
    factory: BindingFactory
    seed: int
    patience: float = PATIENCE_SECONDS
    recovery: float | None = None
    name: str = ""
    histories: Path | None = None
    blocked: float = BLOCKED_SECONDS
    schedule: Schedule | None = None
    effort: Effort = EFFORTS["default"]
    failing: Path | None = None
    again: Callable[[str], str] = "pytest --ampybus-conformance -k {}".format
    claimed: dict[str, frozenset[str]] = field(default_factory=dict, init=False)

    def judge(self, check: str, scenario: Scenario | Scheduled, checkers: Sequence[Checker]) -> Result:
        """The verdict on one check. Raises KeyError for a check that the spec does not have."""
        rule = self.contract.checks[check]
        try:
            left_out = self._left_out(rule)
            if left_out is not None:
                return left_out
            if isinstance(scenario, Scheduled):
                return self._searched(check, scenario, checkers)
        except BindingCrashError as crash:
            return Result(check, Verdict.FAIL, str(crash))
        return self._one(check, checkers, partial(self._play, scenario, rule.claim in TELEMETRY))

    def _searched(self, check: str, scenario: Scheduled, checkers: Sequence[Checker]) -> Result:
        """The verdict on schedules: the first that does not pass, made small and saved, or a pass."""
        failed: dict[Schedule, Result] = {}
        budget = Budget() if self.simulates else Budget(REAL_PLAYS)
        result = Result(check, Verdict.PASS)

        def fails(schedule: Schedule) -> bool:
            nonlocal result
            result = whole(self._one(check, checkers, partial(self._play_schedule, scenario, schedule)))
            if result.verdict is Verdict.PASS or (failed and result.verdict is not Verdict.FAIL):
                return False
            if result.verdict is not Verdict.FAIL or self.failing is None:
                budget.plays = 0
            failed[schedule] = result
            return True

        if self.schedule is not None:
            unplayable = self._unplayable(self.schedule)
            if unplayable:
                return Result(check, Verdict.INCONCLUSIVE, unplayable)
            fails(self.schedule)
            return result
        kinds = scenario.faults(make(self.factory), self.levers)
        real = Bounds(kinds, REAL_MESSAGES, REAL_FAULTS, REAL_SECONDS, turns=0)
        bounds = Bounds(kinds) if self.simulates else real
        count = self.effort.simulated if self.simulates else self.effort.real
        least = search(self.seed, count, bounds, fails, budget)
        if least is None:
            return result
        result = failed[least]
        if self.failing is None or result.verdict is not Verdict.FAIL:
            return result
        path = self.failing / f"{check}.schedule.json"
        write_schedule(path, least)
        words = f"{self.again(check)} --ampybus-schedule {shlex.quote(str(path))}"
        return replace(result, reason=f"{result.reason} Replay: {words}")

    def _unplayable(self, schedule: Schedule) -> str:
        """What a schedule asks this broker for that it cannot do, as a sentence; empty where it can."""
        lacking = {fault.kind for fault in schedule.faults} - playable(self.levers)
        if not lacking:
            return ""
        return (
            f"SCHEDULE expected what {self.broker.name} can play, got {', '.join(sorted(lacking))}. "
            "Fix: name the broker on which it was saved"
        )

    @property
    def levers(self) -> frozenset[str]:
        """What can be done to the broker."""
        found: frozenset[str] = getattr(self.broker, "levers", frozenset())
        return found

    @property
    def simulates(self) -> bool:
        """Whether schedules are played in the simulation."""
        return SIMULATION in self.levers

    def _one(
        self,
        check: str,
        checkers: Sequence[Checker],
        play_it: Callable[[], Coroutine[Any, Any, list[Event]]],
    ) -> Result:
        """The verdict on one history, which this plays."""
        watchdog = Watchdog(self.blocked)
        try:
            with watchdog.watching():
                history = self.broker.run(watchdog.over(play_it()))
        except BlockedLoop as blocked:
            reason = (
                f"BINDING expected calls that give the event loop back, {blocked}. "
                "Fix: await what takes long, or run it in a thread"
            )
            return Result(check, Verdict.FAIL, reason)
        except SystemExit as end:
            reason = f"BINDING expected calls that return or raise, one ended the process: {end!r}"
            return Result(check, Verdict.FAIL, reason)
        except BindingCrashError as crash:
            return Result(check, Verdict.FAIL, str(crash))
        except BrokerError as trouble:
            return Result(check, Verdict.INCONCLUSIVE, str(trouble))
        if self.histories is not None:
            self._keep(check, history)
        result = verdict_on(check, history, checkers, self.contract, self.recovery)
        result = with_invariants(result, history, self.contract, self.claimed.get("", frozenset()))
        return replace(result, measured=measurements(history))

    def _keep(self, check: str, history: Sequence[Event]) -> None:
        """Write the history of a check into the directory for them. Raises HistoryError where it cannot."""
        assert self.histories is not None
        claimed = tuple(sorted(claims(make(self.factory))))
        head = Head(
            self.contract.version,
            check,
            self.name,
            self.broker.name,
            self.broker.settings,
            claimed,
            self.seed,
        )
        path = self.histories / f"{check}.jsonl"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w", encoding="utf-8") as stream:
                write_history(stream, head, history)
        except OSError as error:
            fix = "name a directory that can be written"
            raise HistoryError(f"HISTORY expected to write {path}, got {error}. Fix: {fix}") from error

    def _claimed(self) -> frozenset[str]:
        """What the binding claims; raises BindingCrashError where it claimed something else before."""
        found = claims(make(self.factory))
        before = self.claimed.setdefault("", found)
        if found != before:
            raise BindingCrashError(changed_claims(before, found))
        return found

    def _left_out(self, rule: CheckRule) -> Result | None:
        """The result of a check that does not apply to this binding or this broker, or None."""
        claimed = self._claimed()
        if rule.claim is not None and rule.claim not in claimed:
            reason = f"the binding does not claim {rule.claim!r}"
            return Result(rule.id, Verdict.NOT_CLAIMED, reason, unclaimed=rule.claim)
        missing = self._missing(rule)
        return Result(rule.id, Verdict.NOT_CLAIMED, missing) if missing else None

    def _missing(self, rule: CheckRule) -> str:
        """What the broker does not offer for a check; empty where it applies."""
        lacking = rule.lacks(self.levers)
        if not lacking:
            return ""
        gaps = getattr(self.broker, "gaps", {})
        reasons = "; ".join(f"{name}: {gaps[name]}" for ways in lacking for name in ways if name in gaps)
        return f"not claimed by this broker: it has no {', '.join(' or '.join(ways) for ways in lacking)}" + (
            f" ({reasons})" if reasons else ""
        )

    async def _play(self, scenario: Scenario, watched: bool) -> list[Event]:
        return await self._at(furnished(self.broker.stream(), watched), scenario)

    async def _play_schedule(self, scenario: Scheduled, schedule: Schedule) -> list[Event]:
        place = simulation(schedule) if self.simulates else furnished(self.broker.stream(), False)
        return await self._at(place, scenario.by(schedule))

    async def _at(self, place: Place, scenario: Scenario) -> list[Event]:
        binding = partial(make, self.factory)
        return await play(
            self.contract,
            binding,
            place,
            scenario,
            self.seed,
            self.patience,
            self.recovery,
            self.effort.breadth,
        )


def verdict_on(
    check: str,
    history: History,
    checkers: Sequence[Checker],
    contract: Contract,
    recovery: float | None = None,
) -> Result:
    """What a whole history comes to: a failure, too little for a verdict, or a pass.

    A binding that did not go on within ``recovery`` seconds has not failed where the contract allows more.
    """
    found = [anomaly for checker in (nothing_shown, *checkers) for anomaly in checker(history, contract)]
    bound = contract.service_levels.recovery_time_seconds
    if found and recovery is not None and recovery < bound and set(found) <= set(stuck(history, contract)):
        reason = (
            f"{found[0].sentence} The run waited {recovery:g} s, the contract allows {bound} s. "
            f"Fix: see why, or wait as long with --ampybus-recovery {bound}"
        )
        return Result(check, Verdict.INCONCLUSIVE, reason, evidence(found))
    if found:
        return Result(check, Verdict.FAIL, found[0].sentence, evidence(found))
    gaps = [anomaly for checker in COMPLETE for anomaly in checker(history, contract)]
    if gaps:
        reason = f"the run does not show enough for a verdict: {gaps[0].sentence}"
        return Result(check, Verdict.INCONCLUSIVE, reason, evidence(gaps))
    return Result(check, Verdict.PASS)


def with_invariants(result: Result, history: History, contract: Contract, claimed: frozenset[str]) -> Result:
    """A result with what its history shows beyond its own checkers: each failure under its own check."""
    others: dict[str, Result] = {}
    for check, found in broken_invariants(history, contract, claimed):
        if check == result.check:
            if result.verdict is not Verdict.FAIL:
                shown = evidence(found[:SHOWN_ANOMALIES])
                result = replace(result, verdict=Verdict.FAIL, reason=found[0].sentence, evidence=shown)
        elif check not in others:
            reason = f"{found[0].sentence} Seen while {result.check} was played."
            shown = evidence(found[:SHOWN_ANOMALIES])
            others[check] = Result(check, Verdict.FAIL, reason, shown, seen_in=result.check)
    return replace(result, also=tuple(others.values()))


def whole(result: Result) -> Result:
    """A result that fails where its history shows a failure of any check."""
    if result.verdict is Verdict.FAIL or not result.also:
        return result
    first = result.also[0]
    reason = f"{first.check}: {first.reason}"
    return replace(result, verdict=Verdict.FAIL, reason=reason, evidence=first.evidence)


def make(factory: BindingFactory) -> Binding:
    """A binding from its factory. Raises BindingCrashError where it fails or lacks a method."""
    try:
        binding = factory()
    except BindingCrashError:
        raise
    except Exception as error:
        raise BindingCrashError(f"BINDING expected a binding, the factory raised {error!r}") from error
    missing = [name for name in METHODS if not inspect.iscoroutinefunction(getattr(binding, name, None))]
    if missing:
        raise BindingCrashError(
            f"BINDING expected async methods {', '.join(METHODS)}, "
            f"{type(binding).__name__} lacks {', '.join(missing)}. Fix: add them"
        )
    return binding
