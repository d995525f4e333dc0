"""A schedule that fails is made small, saved, and played again by the command that the finding names."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from ampybus_contract.bindings.memory import MemoryTransport
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.brokers.endpoint import Endpoint
from ampybus_contract.brokers.memory import MemorySource
from ampybus_contract.brokers.simulation import Fault, FaultKind, Schedule, read_schedule
from ampybus_contract.contract import default_contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.harness import checkers
from ampybus_contract.harness.history import Operation
from ampybus_contract.harness.judge import Judge
from ampybus_contract.harness.playing import played
from ampybus_contract.harness.scenarios import chaos
from ampybus_contract.harness.schedules import EFFORTS, Effort
from ampybus_contract.harness.suites import checkers_by_check
from ampybus_contract.harness.verdicts import Verdict
from ampybus_contract.report.document import Heading, again

CONTRACT = default_contract()


class Forgetful(ReferenceBinding):
    """Remembers no effect."""

    def identities(self, envelope: Envelope) -> list[str]:
        return []


JUDGES = (
    checkers.lost_write,
    checkers.unseen,
    checkers.duplicate_effect,
    checkers.key_reordered,
    checkers.effect_reordered,
    checkers.payload_changed,
    checkers.definite_but_stored,
    checkers.id_invented,
    checkers.dlq_lost,
    checkers.poison_delivered,
)


def forgetful(failing: Path) -> Judge:
    heading = Heading("memory", "memory", "memory", {}, 1)
    made = Judge(CONTRACT, MemorySource(), lambda: Forgetful(MemoryTransport()), 1, failing=failing)
    return replace(made, again=partial(again, heading))


def pytest_in(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:randomly", "-p", "no:cacheprovider", *words]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=120)


def test_a_finding_is_saved_small_and_fails_again_from_its_file(tmp_path: Path) -> None:
    judge = forgetful(tmp_path)
    suite = checkers_by_check()["FLT-08"]
    found = judge.judge("FLT-08", chaos, suite)
    path = tmp_path / "FLT-08.schedule.json"
    least = read_schedule(path)
    assert (found.verdict, least.turns, len(least.faults)) == (Verdict.FAIL, (), 1)
    second = replace(judge, schedule=least).judge("FLT-08", chaos, suite)
    assert second.verdict is Verdict.FAIL
    assert found.reason.startswith(f"{second.reason} Replay: pytest ")
    assert second.evidence == found.evidence


@pytest.mark.subprocess
def test_the_command_of_a_finding_plays_that_schedule_only(tmp_path: Path) -> None:
    judge = forgetful(tmp_path)
    reason = judge.judge("FLT-08", chaos, checkers_by_check()["FLT-08"]).reason
    (least,) = tmp_path.iterdir()
    words = shlex.split(reason.split("Replay: pytest ")[1])
    done = pytest_in(tmp_path, *words, "--ampybus-history", "histories")
    assert done.returncode == 0, done.stdout
    history = (tmp_path / "histories/FLT-08.jsonl").read_text()
    publishes = history.count('"publish"')
    assert publishes == 2 * len(read_schedule(least).messages)


@pytest.mark.subprocess
def test_a_file_that_is_no_schedule_ends_the_run(tmp_path: Path) -> None:
    (tmp_path / "schedule.json").write_text("{}")
    done = pytest_in(tmp_path, "--ampybus-conformance", "--ampybus-schedule", "schedule.json")
    assert done.returncode == 2
    assert "SCHEDULE expected a schedule by its schema" in done.stdout + done.stderr


@pytest.mark.parametrize("count", [1, 4])
def test_so_many_schedules_are_played_as_asked_for(count: int) -> None:
    brokers: list[object] = []

    class Noting(ReferenceBinding):
        async def start(self, endpoint: Endpoint) -> None:
            if endpoint.native not in brokers:
                brokers.append(endpoint.native)
            await super().start(endpoint)

    judge = Judge(CONTRACT, MemorySource(), lambda: Noting(MemoryTransport()), 1, effort=Effort(count, 0))
    assert judge.judge("FLT-08", chaos, checkers_by_check()["FLT-08"]).verdict is Verdict.PASS
    assert len(brokers) == count


@pytest.mark.subprocess
@pytest.mark.parametrize("effort", ["default", "quick", "exhaustive"])
def test_the_option_for_effort_says_how_many(tmp_path: Path, effort: str) -> None:
    (tmp_path / "conftest.py").write_text(
        "import pytest\n\n@pytest.fixture(autouse=True)\ndef count(ampybus_judge):\n"
        "    open('count', 'w').write(str(ampybus_judge.effort.simulated))\n"
    )
    (tmp_path / "test_own.py").write_text("def test_own():\n    pass\n")
    words = ["--ampybus-effort", effort] if effort != "default" else []
    done = pytest_in(
        tmp_path,
        "--ampybus-conformance",
        *words,
        "test_own.py",
        "-k",
        "own or ENV-05",
        "--ampybus-report=r.json",
    )
    assert done.returncode == 0, done.stdout
    assert int((tmp_path / "count").read_text()) == EFFORTS[effort].simulated
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["heading"]["effort"] == effort
    assert all(f"--ampybus-effort {effort}" in item["again"] for item in report["checks"]) == bool(words)
    assert f", effort {effort}" in done.stdout


@pytest.mark.parametrize("kind", [FaultKind.CRASH_BEFORE_EFFECT, FaultKind.CRASH_AFTER_EFFECT])
def test_a_binding_that_does_not_start_again_has_failed(kind: FaultKind) -> None:
    starts: list[object] = []

    class StartsOnce(ReferenceBinding):
        async def start(self, endpoint: Endpoint) -> None:
            starts.append(self)
            if len(starts) > 1:
                raise RuntimeError("the lock file is there")
            await super().start(endpoint)

    judge = Judge(CONTRACT, MemorySource(), lambda: StartsOnce(MemoryTransport()), 1)
    judge = replace(judge, schedule=Schedule((0, 1, 2, 0, 1, 2), (), (Fault(kind, 1),)))
    result = judge.judge("FLT-08", chaos, checkers_by_check()["FLT-08"])
    assert result.verdict is Verdict.FAIL
    assert "the lock file is there" in result.reason


class Incidents(RuleBasedStateMachine):
    """Messages go on, and between them something goes wrong; when it is over, every rule was kept."""

    def __init__(self) -> None:
        super().__init__()
        self.messages = 1
        self.turns: list[int] = []
        self.faults: list[Fault] = []

    @rule(count=st.integers(1, 5))
    def publish(self, count: int) -> None:
        self.messages += count

    @rule(choice=st.integers(0, 7))
    def let_another_go_first(self, choice: int) -> None:
        self.turns.append(choice)

    @rule(kind=st.sampled_from([FaultKind.CRASH_BEFORE_EFFECT, FaultKind.CRASH_AFTER_EFFECT]))
    def crash(self, kind: FaultKind) -> None:
        self.faults.append(Fault(kind, self.messages - 1))

    @rule(seconds=st.integers(1, 20))
    def cut_and_heal(self, seconds: int) -> None:
        self.faults.append(Fault(FaultKind.PARTITION, self.messages - 1, seconds))

    @rule()
    def publish_again(self) -> None:
        self.faults.append(Fault(FaultKind.REPEAT, self.messages - 1))

    @rule()
    def hand_out_again(self) -> None:
        self.faults.append(Fault(FaultKind.DUPLICATE, self.messages - 1))

    @rule(kind=st.sampled_from([FaultKind.DROP, FaultKind.LOST_ACK, FaultKind.TRUNCATED_TAIL]))
    def do_not_answer(self, kind: FaultKind) -> None:
        self.faults.append(Fault(kind, self.messages - 1))

    @rule(kind=st.sampled_from([FaultKind.DELAY, FaultKind.REORDER]), seconds=st.integers(1, 20))
    def hold_back(self, kind: FaultKind, seconds: int) -> None:
        self.faults.append(Fault(kind, self.messages - 1, seconds))

    @rule()
    def spoil(self) -> None:
        self.faults.append(Fault(FaultKind.CORRUPT, self.messages - 1))

    def teardown(self) -> None:
        schedule = Schedule(tuple(range(self.messages)), tuple(self.turns), tuple(self.faults))
        history = played(CONTRACT, lambda: ReferenceBinding(MemoryTransport(), CONTRACT), schedule)
        found = [anomaly.sentence for judge in JUDGES for anomaly in judge(history, CONTRACT)]
        assert not found, (schedule, found)
        applied = {item.id for item in history if item.operation is Operation.EFFECT}
        assert len(applied) == self.messages


TestIncidents = pytest.mark.filterwarnings("error")(Incidents.TestCase)
Incidents.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
