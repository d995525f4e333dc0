"""Schedules of messages and faults on a real broker: drawn, made small, saved and played again."""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest

from ampybus_contract.benchmark.traffic import envelopes
from ampybus_contract.brokers.simulation import Fault, FaultKind, Schedule, read_schedule, write_schedule
from ampybus_contract.contract import default_contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.exit_codes import INCONCLUSIVE
from ampybus_contract.harness.scenarios.incidents import RealIncidents
from ampybus_contract.harness.stage import Stage

ADAPTER = Path(__file__).parents[1] / "bindings/process_adapter.py"
CHECK = "FLT-08"
(ENVELOPE,) = envelopes(1, default_contract())
BROKEN = """
from ampybus_contract.bindings.nats import NatsTransport
from ampybus_contract.bindings.reference import ReferenceBinding


class Forgetful(ReferenceBinding):
    def identities(self, envelope):
        return []


def make():
    return Forgetful(NatsTransport())
"""


def judged(directory: Path, *words: str) -> tuple[int, str, str]:
    """The exit code, the verdict on the check and its reason."""
    command = [sys.executable, "-m", "pytest", "-p", "no:randomly", "-p", "no:cacheprovider"]
    command += ["--ampybus-conformance", "-k", CHECK, "--ampybus-report", "report.json", *words]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=400)
    report = json.loads((directory / "report.json").read_text())
    (check,) = (item for item in report["checks"] if item["id"] == CHECK)
    return done.returncode, check["verdict"], check["reason"]


@pytest.mark.subprocess
@pytest.mark.parametrize("target", ["broken:make", "process"])
def test_a_finding_is_saved_small_and_fails_again_by_its_command(tmp_path: Path, target: str) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    adapter = f"process:{shlex.join([sys.executable, str(ADAPTER), 'forgets'])}"
    binding = adapter if target == "process" else target
    code, verdict, reason = judged(tmp_path, "--ampybus-binding", binding)
    assert (code, verdict) == (1, "fail")
    assert "took effect twice" in reason
    least = read_schedule(tmp_path / ".ampybus" / f"{CHECK}.schedule.json")
    assert [item.kind for item in least.faults] == [FaultKind.DUPLICATE]
    assert len(least.messages) == 1
    words = shlex.split(reason.split("Replay: pytest --ampybus-conformance ")[1])
    code, verdict, again = judged(tmp_path, *words)
    assert (code, verdict) == (1, "fail")
    assert reason.startswith(again)


@pytest.mark.subprocess
@pytest.mark.parametrize("kind", sorted(set(FaultKind) - {FaultKind.REORDER, FaultKind.TRUNCATED_TAIL}))
def test_the_reference_binding_bears_every_fault_on_nats(tmp_path: Path, kind: FaultKind) -> None:
    schedule = Schedule((0, 1, 2, 0, 1, 2), (), (Fault(kind, 1, 0.3), Fault(kind, 3, 0.3)))
    write_schedule(tmp_path / "schedule.json", schedule)
    words = ["--ampybus-binding", "nats", "--ampybus-schedule", "schedule.json"]
    code, verdict, reason = judged(tmp_path, *words, "--ampybus-history", "histories")
    assert (code, verdict) == (0, "pass"), reason
    events = [json.loads(line) for line in (tmp_path / f"histories/{CHECK}.jsonl").read_text().splitlines()]
    said = [item.get("error", "") for item in events]
    assert f"placed: {kind} at message 1, 0.3 s" in said


class Wire:
    """Takes down what somebody puts on it."""

    def __init__(self) -> None:
        self.written: list[Envelope] = []

    async def inject(self, *envelopes: Envelope) -> None:
        self.written += envelopes


def test_what_others_put_on_the_wire_waits_until_the_broker_takes_something_again() -> None:
    async def written(fault: Fault) -> tuple[list[Envelope], list[Envelope]]:
        wire = Wire()
        around = RealIncidents(cast("Stage", wire), None)
        async with around.calm:
            writing = asyncio.create_task(around.after(fault, ENVELOPE))
            await asyncio.sleep(0)
            early = [*wire.written]
        await writing
        return early, wire.written

    assert asyncio.run(written(Fault(FaultKind.DUPLICATE, 0))) == ([], [ENVELOPE])


@pytest.mark.subprocess
@pytest.mark.parametrize("kind", [FaultKind.REORDER, FaultKind.TRUNCATED_TAIL])
def test_a_fault_that_the_broker_cannot_play_is_refused(tmp_path: Path, kind: FaultKind) -> None:
    write_schedule(tmp_path / "schedule.json", Schedule((0,), (), (Fault(kind, 0),)))
    code, verdict, reason = judged(
        tmp_path, "--ampybus-binding", "nats", "--ampybus-schedule", "schedule.json"
    )
    assert (code, verdict) == (INCONCLUSIVE, "inconclusive")
    assert f"expected what NATS JetStream, embedded can play, got {kind}" in reason
