"""A test starts what its tier may; a hang shows its tasks; only tests with real servers get another try."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.tiers import tier_of

ROOT = Path(__file__).resolve().parents[1]
PLUGINS = """
from pathlib import Path
from tests import tiers
from tests.conftest import pytest_collection_modifyitems, pytest_terminal_summary
from tests.hangs import Stacks

tiers.HERE = Path(__file__).parent

def pytest_configure(config):
    config.pluginmanager.register(Stacks())
    config.addinivalue_line("markers", "server: a real server")
"""
WAITS = """
import asyncio
import pytest

async def waits_for_ever():
    await asyncio.Event().wait()

@pytest.mark.timeout(1)
def test_hangs():
    asyncio.run(waits_for_ever())
"""
FAILS_ONCE = """
import pytest
from pathlib import Path

@pytest.mark.{tier}
def test_fails_once(request):
    seen = Path(str(request.config.rootpath)) / "seen"
    was_there = seen.exists()
    seen.touch()
    assert was_there
"""


@pytest.mark.parametrize(
    ("command", "tier"),
    [
        (["python", "-I", "supervisor.py", "/tmp/x/nats-server", "-c", "server.conf"], "server"),
        (["/usr/bin/java", "-cp", "libs", "kafka.Kafka"], "kafka"),
        (["python", "supervisor.py", "noida-db", "start"], "kafka"),
        (["python", "-m", "pytest", "--ampybus-conformance"], "subprocess"),
        (["python", "-mpytest", "--basetemp=/tmp/x"], "subprocess"),
        (["python", "-m", "build", "--wheel"], "subprocess"),
        (["/venv/bin/ampybus", "mutants", "-k", "ORD-01"], "subprocess"),
        (["/venv/bin/ampybus", "spec", "lint"], None),
        (["git", "log"], None),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else value,
)
def test_a_command_has_the_tier_of_what_it_starts(command: list[str], tier: str | None) -> None:
    assert tier_of(command) == tier


@pytest.mark.parametrize("command", [["nats-server", "--version"], ["java", "-version"]])
def test_a_server_without_its_marker_is_stopped(command: list[str]) -> None:
    with pytest.raises(pytest.fail.Exception, match=rf"expected the marker .* starts \['{command[0]}"):
        subprocess.run(command, check=False)


@pytest.mark.subprocess
def test_a_hang_is_named_with_the_stacks_of_its_tasks(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeconftest(PLUGINS)
    pytester.makepyfile(WAITS)
    done = pytester.runpytest_subprocess("-p", "no:randomly")
    done.stdout.fnmatch_lines(["*Failed: Timeout (>1.0s)*", "Stack for <Task * coro=<waits_for_ever() *"])


@pytest.mark.subprocess
@pytest.mark.parametrize(
    ("tier", "outcome"), [("server", {"passed": 1}), ("parametrize('x', [1])", {"failed": 1})]
)
def test_only_a_test_with_a_real_server_gets_another_try(
    tier: str, outcome: dict[str, int], pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeconftest(PLUGINS)
    body = FAILS_ONCE.format(tier=tier)
    pytester.makepyfile(body if tier == "server" else body.replace("(request)", "(request, x)"))
    done = pytester.runpytest_subprocess("-p", "no:randomly")
    found = done.parseoutcomes()
    assert {name: found[name] for name in outcome} == outcome
    assert ("FLAKY" in done.stdout.str()) is (tier == "server")
