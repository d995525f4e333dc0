"""How long a check waits for a binding to go on after a fault, and what it says of one that does not."""

from __future__ import annotations

import asyncio

import pytest

from ampybus_contract.bindings.memory import MemoryTransport
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.brokers.memory import MemorySource
from ampybus_contract.contract import Contract, default_contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.errors import PublishError
from ampybus_contract.harness.checkers import Checker, History, wedged
from ampybus_contract.harness.history import Anomaly, Operation
from ampybus_contract.harness.judge import Judge
from ampybus_contract.harness.stage import Stage
from ampybus_contract.harness.verdicts import Result, Verdict

CHECK = "ENV-06"
NEVER = 1e9
BOUND = default_contract().service_levels.recovery_time_seconds


def judged(back_after: float, recovery: float | None, *checkers: Checker) -> tuple[Result, float]:
    """The verdict on a binding that is cut off so long by a fault, and the seconds it took from there."""
    stages: list[Stage] = []
    back = [0.0]

    class CutOff(ReferenceBinding):
        async def publish(self, envelope: Envelope) -> None:
            if asyncio.get_running_loop().time() < back[0]:
                raise PublishError("cut off", definite=False)
            await super().publish(envelope)

    async def outage(stage: Stage) -> None:
        stages.append(stage)
        domain = stage.workload.keyed_domain()
        await stage.subscribe(stage.pattern(domain))
        await stage.publish(stage.workload.envelope(domain))
        back[0] = asyncio.get_running_loop().time() + back_after
        stage.fault("the link was cut and healed")
        await stage.healed(await stage.publish_until_acknowledged(domain))

    judge = Judge(default_contract(), MemorySource(), lambda: CutOff(MemoryTransport()), 1, recovery=recovery)
    result = judge.judge(CHECK, outage, [wedged, *checkers])
    history = stages[0].history
    (fault,) = (item for item in history if item.operation is Operation.FAULT)
    return result, (history[-1].at - fault.at) / 1e9


def broken_otherwise(history: History, _contract: Contract) -> list[Anomaly]:
    return [Anomaly("Something else is wrong.", tuple(history[:1]))]


def test_who_does_not_go_on_in_the_time_of_the_run_gets_no_verdict_and_is_told_the_option() -> None:
    result, seconds = judged(NEVER, 60)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert f"waited 60 s, the contract allows {BOUND} s. Fix: " in result.reason
    assert f"--ampybus-recovery {BOUND}" in result.reason
    assert 59 < seconds < 66


@pytest.mark.parametrize("recovery", [None, BOUND, 2 * BOUND])
def test_who_does_not_go_on_in_the_time_of_the_contract_has_failed(recovery: float | None) -> None:
    result, seconds = judged(NEVER, recovery)
    assert result.verdict is Verdict.FAIL
    assert "No publish was acknowledged any more" in result.reason
    assert BOUND - 1 < seconds < BOUND + 6


def test_who_goes_on_in_time_passes_as_soon_as_it_does() -> None:
    result, seconds = judged(5, 60)
    assert result.verdict is not Verdict.FAIL
    assert "contract allows" not in result.reason
    assert seconds < 30


def test_what_else_is_wrong_is_a_failure_however_long_the_run_waited() -> None:
    result, _ = judged(NEVER, 60, broken_otherwise)
    assert result.verdict is Verdict.FAIL
