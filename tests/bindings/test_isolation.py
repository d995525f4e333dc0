"""A Python binding lives in a process of its own: it sees nothing of its judge, and nothing of it is left."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ampybus_contract.bindings import process_link
from ampybus_contract.bindings.process import ProcessBinding, greeted
from ampybus_contract.bindings.process_child import Surroundings
from ampybus_contract.brokers.nats_server import nats_server
from ampybus_contract.brokers.nats_stream import NatsSource
from ampybus_contract.contract import default_contract
from ampybus_contract.errors import TargetError
from ampybus_contract.harness.judge import Judge
from ampybus_contract.harness.suites import suites
from ampybus_contract.harness.verdicts import Result, Verdict
from ampybus_contract.pytest_plugin.isolation import HOST, Isolation, hosted
from ampybus_contract.pytest_plugin.targets import binding_factory

pytestmark = [pytest.mark.server, pytest.mark.subprocess]
CONTRACT = default_contract()
HERE = Path(__file__).parent
README = (HERE.parents[1] / "README.md").read_text(encoding="utf-8")
ADAPTER = next(part for part in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "class Bus" in part)
BEHAVED = """            settled = await handler(envelope)
            await (message.ack() if settled == "ok" else message.nak(0.1))
"""
EARLY = """            await message.ack()
            await handler(envelope)
"""
SHORT_SECONDS = 2.0
PLENTY = 768


@pytest.fixture(scope="module")
def nats() -> Iterator[NatsSource]:
    with nats_server() as server:
        yield NatsSource(server.url, CONTRACT.topic.prefix, "nats", server=server)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)


def judged(nats: NatsSource, check: str, name: str, isolation: Isolation | None = None) -> Result:
    factory = binding_factory(f"isolated_bindings:{name}", CONTRACT, isolation)
    return Judge(CONTRACT, nats, factory, 1).judge(check, suites()[check].scenario, suites()[check].checkers)


def broken(nats: NatsSource, how: str, monkeypatch: pytest.MonkeyPatch, memory: int | None = None) -> Result:
    monkeypatch.setenv("HOW", how)
    variables = tuple(name for name in ("HOW", "SEEN") if name in os.environ)
    return judged(nats, "ENV-01", "breaks", Isolation(memory=memory, variables=variables))


def children() -> set[str]:
    return set(Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split())


@pytest.mark.parametrize("check", ["ENV-01", "ORD-01", "IDM-03", "FLT-01", "FLT-10"])
def test_a_good_binding_passes_in_a_process_of_its_own(nats: NatsSource, check: str) -> None:
    before = children()
    assert judged(nats, check, "good").verdict is Verdict.PASS
    assert children() == before


def test_a_binding_that_prints_and_reads_disturbs_nothing(nats: NatsSource) -> None:
    assert judged(nats, "ENV-01", "chatty").verdict is Verdict.PASS


def test_a_binding_sees_nothing_of_its_judge(
    nats: NatsSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEN", str(tmp_path / "seen"))
    monkeypatch.setenv("AMPYBUS_SECRET", "suite")
    assert judged(nats, "ENV-01", "reports", Isolation(variables=("SEEN",))).verdict is Verdict.PASS
    lines = (tmp_path / "seen").read_text().splitlines()
    shown = "\n".join(line for line in lines if not line.startswith(("PATH=", "SEEN=", "VIRTUAL_ENV=")))
    assert "PYTEST" not in shown.upper().replace(str(tmp_path).upper(), "")
    assert "AMPYBUS_SECRET" not in shown
    assert "ampybus_contract.harness" not in lines
    assert not re.search(r"\b[A-Z]{3}-\d\d\b", shown)
    assert Path(lines[0]) != HERE
    assert not Path(lines[0]).exists()


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("exits", "SystemExit: enough of this"),
        ("dies", "its end with code 7"),
        ("forks", "its end with code 3"),
        ("raises", "ZeroDivisionError: by mistake (isolated_bindings.py:"),
    ],
)
def test_a_binding_that_misbehaves_gets_a_finding_and_leaves_nothing(
    nats: NatsSource, monkeypatch: pytest.MonkeyPatch, how: str, says: str
) -> None:
    found = broken(nats, how, monkeypatch)
    assert (found.verdict, says in found.reason) == (Verdict.FAIL, True), found.reason
    assert living(f"HOW={how}") == []


def living(variable: str) -> list[str]:
    """Every process that was started with a variable."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if variable.encode() in path.read_bytes().split(b"\0"):
                found.append(path.parent.name)
    return found


def test_what_a_binding_started_is_ended_with_it(
    nats: NatsSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEN", str(tmp_path / "pid"))
    assert broken(nats, "daemons", monkeypatch).verdict is Verdict.FAIL
    pid = int((tmp_path / "pid").read_text())
    state = Path(f"/proc/{pid}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_binding_that_blocks_its_loop_is_named_with_the_line(
    nats: NatsSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOW", "blocks")
    isolation = Isolation(variables=("HOW",))
    command = (sys.executable, "-P", "-m", HOST, "isolated_bindings:breaks")
    around = isolation.surroundings(own_directory=True)

    claimed = greeted(command, around)

    def make() -> ProcessBinding:
        return ProcessBinding(command, claimed, SHORT_SECONDS, around, patient=True)

    began, suite = time.monotonic(), suites()["ENV-01"]
    found = Judge(CONTRACT, nats, make, 1).judge("ENV-01", suite.scenario, suite.checkers)
    assert found.verdict is Verdict.FAIL
    assert "an answer to publish within 2 s" in found.reason
    assert re.search(r'isolated_bindings.py", line \d+ in blocks', found.reason)
    assert time.monotonic() - began < 30


def test_a_binding_that_takes_memory_without_end_meets_its_limit(
    nats: NatsSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = broken(nats, "eats", monkeypatch, memory=PLENTY)
    assert (found.verdict, "MemoryError" in found.reason) == (Verdict.FAIL, True), found.reason


def test_a_flood_of_deliveries_is_a_finding(nats: NatsSource) -> None:
    found = judged(nats, "ENV-03", "floods")
    assert found.verdict is Verdict.FAIL
    assert "at most 5000 unsettled deliveries" in found.reason or "got more" in found.reason


def test_a_factory_that_raises_is_a_finding_with_its_place(nats: NatsSource) -> None:
    found = judged(nats, "ENV-01", "factory_raises")
    assert found.verdict is Verdict.FAIL
    assert "the factory raised RuntimeError('no config')" in found.reason
    assert re.search(r'isolated_bindings.py", line \d+, in factory_raises', found.reason)


def test_a_start_that_raises_is_a_finding_with_its_place(nats: NatsSource) -> None:
    found = judged(nats, "ENV-01", "start_raises")
    assert "expected start to succeed, got: KeyError: 'password' (isolated_bindings.py:" in found.reason
    assert 'raise KeyError("password")' in found.reason


def test_a_factory_that_exits_is_a_finding(nats: NatsSource) -> None:
    assert "SystemExit: not today" in judged(nats, "ENV-01", "factory_exits").reason


def test_a_factory_that_blocks_is_a_finding(nats: NatsSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_link, "FIRST_HELLO_SECONDS", SHORT_SECONDS)
    assert "an answer to hello within 2 s" in judged(nats, "ENV-01", "factory_blocks").reason


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("isolated_bindings:nothing", "expected 'nothing' in isolated_bindings"),
        ("no_such_module:make", "expected to import 'no_such_module', got ModuleNotFoundError"),
        ("isolated_bindings:LONG_SECONDS", "expected something callable"),
    ],
)
def test_what_is_not_there_is_wrong_usage(spec: str, says: str) -> None:
    with pytest.raises(TargetError, match=re.escape(says)):
        hosted([spec], Isolation())


def test_a_variable_that_is_not_set_is_wrong_usage() -> None:
    with pytest.raises(TargetError, match="expected the variable NO_SUCH_NAME to be set"):
        hosted(["isolated_bindings:good"], Isolation(variables=("NO_SUCH_NAME",)))


def test_effects_in_a_global_do_not_survive_a_crash(nats: NatsSource) -> None:
    found = judged(nats, "IDM-03", "global_effects")
    assert (found.verdict, "took effect twice" in found.reason) == (Verdict.FAIL, True), found.reason


def test_effects_in_a_global_survive_in_the_judges_own_process(nats: NatsSource) -> None:
    assert judged(nats, "IDM-03", "global_effects", Isolation(in_process=True)).verdict is Verdict.PASS


def test_an_adapter_that_acknowledges_before_its_handler_fails_at_once(
    nats: NatsSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert BEHAVED in ADAPTER
    (tmp_path / "early_bus.py").write_text(ADAPTER.replace(BEHAVED, EARLY))
    monkeypatch.chdir(tmp_path)
    judge = Judge(CONTRACT, nats, binding_factory("early_bus:Bus", CONTRACT), 1)
    found = judge.judge("FLT-10", suites()["FLT-10"].scenario, suites()["FLT-10"].checkers)
    assert found.verdict is Verdict.FAIL
    assert found.reason.startswith("The message was acknowledged before its handler was done")


def test_the_options_are_said_again() -> None:
    words = Isolation(memory=512, variables=("A", "B")).words()
    assert words == ("--ampybus-memory", "512", "--ampybus-env", "A", "--ampybus-env", "B")
    assert Isolation(in_process=True).words() == ("--ampybus-in-process",)
    assert Surroundings().environment("/tmp/x")["TMPDIR"] == "/tmp/x"
