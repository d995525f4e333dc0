"""How many schedules of the simulation are played and judged in a second, on one core."""

from __future__ import annotations

import time
from collections.abc import Collection

from ampybus_contract.bindings.memory import MemoryTransport
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.brokers.memory import MemorySource
from ampybus_contract.brokers.simulation import FaultKind
from ampybus_contract.contract import Contract, default_contract
from ampybus_contract.harness.judge import verdict_on
from ampybus_contract.harness.playing import played
from ampybus_contract.harness.scenarios.chaos import chaos
from ampybus_contract.harness.scenarios.incidents import CRASHES
from ampybus_contract.harness.schedules import MESSAGES_PER_FAULT, Bounds, drawn
from ampybus_contract.harness.suites import checkers_by_check
from ampybus_contract.harness.verdicts import Verdict

CHECK = "FLT-08"


def rates(count: int, messages: int) -> None:
    """Print schedules per second of processor time: without faults, with all but crashes, with all."""
    contract = default_contract()
    every = chaos.faults(ReferenceBinding(MemoryTransport(), contract), MemorySource.levers)
    print(f"{count} schedules of {messages} messages through the reference binding, played and judged")
    print(f"{'faults':24}{'ms each':>10}{'per second':>12}{'passed':>8}")
    for name, kinds in (("none", frozenset()), ("all but crashes", every - CRASHES), ("all", every)):
        seconds, passed = _run(contract, count, messages, kinds)
        print(f"{name:24}{seconds / count * 1e3:10.2f}{count / seconds:12.1f}{passed:8}")


def _run(contract: Contract, count: int, messages: int, kinds: Collection[FaultKind]) -> tuple[float, int]:
    checkers = checkers_by_check()[CHECK]
    passed = 0
    begun = time.process_time()
    for schedule in drawn(1, count, Bounds(frozenset(kinds), messages, messages // MESSAGES_PER_FAULT)):
        history = played(contract, lambda: ReferenceBinding(MemoryTransport(), contract), schedule)
        passed += verdict_on(CHECK, history, checkers, contract).verdict is Verdict.PASS
    return time.process_time() - begun, passed
