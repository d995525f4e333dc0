"""All faults with all triggers, without those that change nothing anybody could see."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.transport import Transport
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.errors import TargetError
from ampybus_contract.harness.generated import (
    checkpoints,
    deliveries,
    effects,
    flow,
    letters,
    pointers,
    publishing,
    replays,
    retries,
    sessions,
    spans,
    telemetry,
    wire,
)
from ampybus_contract.harness.generated.fault import ANY, ENVELOPE, Fault, Strike, Tell, Trigger
from ampybus_contract.harness.generated.triggers import ALWAYS, triggers
from ampybus_contract.harness.generated.witnesses import broken, plain, witnesses
from ampybus_contract.harness.mutants.build import Build

PLACES = (
    publishing,
    wire,
    deliveries,
    retries,
    effects,
    letters,
    replays,
    checkpoints,
    pointers,
    telemetry,
    spans,
    sessions,
    flow,
)
COMMON = frozenset({ALWAYS, "domain", "tier", "env", "group", "restarted", "attempt", "every", "again"})
RARE = 4
LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GeneratedMutant:
    """A binding with one fault, which shows when its trigger says so."""

    fault: Fault
    trigger: Trigger

    @property
    def id(self) -> str:
        """``place.operator.subject@trigger``; the same in every release that has this fault."""
        return f"{self.fault.name}@{self.trigger.name}"

    @property
    def says(self) -> str:
        """What the binding does wrong, and when, as a sentence."""
        when = "" if self.trigger.kind == ALWAYS else f" [{self.trigger.name}]"
        return f"It {self.fault.says}{when}."

    def built(self, tell: Tell) -> Build:
        """What makes the binding over a transport; ``tell`` hears of exceptions of the fault's own making."""

        def build(transport: Transport, contract: Contract) -> ReferenceBinding:
            binding = ReferenceBinding(transport, contract)
            strike = Strike(self.trigger, contract, tell)
            strike.live(binding)
            self.fault.install(strike, binding)
            return binding

        return build

    @property
    def build(self) -> Build:
        """As ``built``; what goes wrong in the fault itself is logged."""
        return self.built(lambda text: LOG.error("MUTANT %s expected to do its harm, got %s", self.id, text))


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A combination that is no mutant, and why it changes nothing."""

    id: str
    reason: str


@dataclass(frozen=True)
class Catalogue:
    """The mutants of one contract by ID, and the combinations left out."""

    contract: Contract
    faults: Mapping[str, Fault]
    triggers: Mapping[str, Trigger]
    _fits: dict[str, frozenset[int]] = field(default_factory=dict)
    _shows: dict[str, frozenset[int]] = field(default_factory=dict)

    def of(self, fault: Fault) -> Iterator[GeneratedMutant]:
        """The mutants with one fault; with one that rarely shows, those whose triggers are common.

        What takes two rare conditions at once can be named, and is not drawn.
        """
        rare = self.rare(fault)
        for trigger in self.triggers.values():
            if (not rare or trigger.kind in COMMON) and self.excluded(fault, trigger) is None:
                yield GeneratedMutant(fault, trigger)

    def rare(self, fault: Fault) -> bool:
        """Whether a fault shows with few of the messages that come most often."""
        usual = len(plain(self.contract))
        showing = sum(number < usual for number in self._showing(fault)) if fault.shows is not None else usual
        return showing < usual / RARE

    def exclusions(self) -> Iterator[Exclusion]:
        """Everything left out."""
        for fault in self.faults.values():
            for trigger in self.triggers.values():
                reason = self.excluded(fault, trigger)
                if reason is not None:
                    yield Exclusion(f"{fault.name}@{trigger.name}", reason)

    def find(self, name: str) -> GeneratedMutant:
        """The mutant of an ID. Raises TargetError where there is none, with the reason if it was left out."""
        subject, _, when = name.partition("@")
        fault, trigger = self.faults.get(subject), self.triggers.get(when or ALWAYS)
        if fault is None or trigger is None:
            missing = f"fault {subject!r}" if fault is None else f"trigger {when!r}"
            raise TargetError(
                f"TARGET expected the ID of a mutant, got {name!r}: no {missing}. "
                "Fix: take one that ampybus mutants --generated prints"
            )
        reason = self.excluded(fault, trigger)
        if reason is not None:
            raise TargetError(
                f"TARGET expected a mutant that breaks something, got {name!r}: {reason}. "
                "Fix: take another trigger"
            )
        return GeneratedMutant(fault, trigger)

    def excluded(self, fault: Fault, trigger: Trigger) -> str | None:
        """Why a fault with this trigger changes nothing that a contract's observer could see, or None."""
        lacking = sorted(trigger.needs - fault.facts)
        if lacking:
            return f"{fault.name} happens where no {lacking[0]} is known"
        for unfit, reason in fault.unfit:
            if unfit in (ANY, trigger.kind, trigger.name):
                return reason
        return self._unseen(fault, trigger) if ENVELOPE in fault.facts else None

    def _unseen(self, fault: Fault, trigger: Trigger) -> str | None:
        """Why no message shows the fault, or None; looked at where the message decides anything."""
        if fault.shows is None and not fault.requirement and trigger.holds is None:
            return None
        shown = self._showing(fault)
        if not shown:
            return "no message that the contract allows is changed by it"
        if not shown & self._fitting(fault, trigger):
            return f"no message with {trigger.name} is changed by it"
        return None

    def _messages(self, fault: Fault) -> tuple[Envelope, ...]:
        """What could meet the fault."""
        return broken(self.contract, fault.requirement) if fault.requirement else witnesses(self.contract)

    def _showing(self, fault: Fault) -> frozenset[int]:
        if fault.name not in self._shows:
            messages = enumerate(self._messages(fault))
            shows = fault.shows
            self._shows[fault.name] = frozenset(n for n, one in messages if shows is None or shows(one))
        return self._shows[fault.name]

    def _fitting(self, fault: Fault, trigger: Trigger) -> frozenset[int]:
        name = f"{fault.requirement} {trigger.name}"
        if name not in self._fits:
            holds, contract = trigger.holds, self.contract
            messages = enumerate(self._messages(fault))
            self._fits[name] = frozenset(n for n, one in messages if holds is None or holds(one, contract))
        return self._fits[name]


@lru_cache(2)
def catalogue(contract: Contract) -> Catalogue:
    """Every fault and every trigger of a contract."""
    faults = [fault for place in PLACES for fault in place.faults(contract)]
    found = Catalogue(
        contract,
        {fault.name: fault for fault in faults},
        {trigger.name: trigger for trigger in triggers(contract)},
    )
    assert len(found.faults) == len(faults), "two faults have one name"
    return found
