"""``pytest --ampybus-conformance`` as a user meets it, in a project of their own."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ampybus_contract.brokers.nats_server import nats_server
from ampybus_contract.contract import load_contract
from ampybus_contract.harness.workload import Workload

pytestmark = pytest.mark.subprocess

ROOT = Path(__file__).resolve().parents[2]
GOOD = """
from ampybus_contract.bindings.nats import NatsTransport
from ampybus_contract.bindings.reference import ReferenceBinding

def factory():
    return ReferenceBinding(NatsTransport())

class Silent(ReferenceBinding):
    capabilities = frozenset()
    async def publish(self, envelope):
        pass

def silent():
    return Silent(NatsTransport())

def raising():
    raise RuntimeError("no config")

class Half:
    async def start(self, endpoint): ...
    def publish(self, envelope): ...

class Hanging(ReferenceBinding):
    async def publish(self, envelope):
        import asyncio
        from pathlib import Path
        Path(__file__).with_name("publishing").write_text("now")
        await asyncio.sleep(3600)

def hanging():
    return Hanging(NatsTransport())

number = 3
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's project with a configuration and a conftest of its own."""
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\naddopts = --strict-markers\npython_files = check_*.py\nfilterwarnings = error\n"
    )
    (tmp_path / "conftest.py").write_text(
        "import pytest\n\n@pytest.fixture(autouse=True)\ndef own():\n    yield\n"
    )
    (tmp_path / "check_own.py").write_text("def test_own():\n    assert True\n")
    (tmp_path / "bus.py").write_text(GOOD)
    return tmp_path


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "-p", "no:randomly", "-p", "no:cacheprovider", *words]


def run(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("--ampybus-conformance", *words),
        cwd=project, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip


def test_a_first_run_just_works(project: Path) -> None:
    done = run(project)
    assert done.returncode == 0, done.stdout
    assert re.search(r"(?m)^\d+ \+ 0 \+ \d+ \+ 0 = (\d+) of \1 checks with a suite", done.stdout)
    assert "check_own" not in done.stdout


def test_without_the_option_nothing_changes(project: Path) -> None:
    done = subprocess.run(command(), cwd=project, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0
    assert "1 passed" in done.stdout
    assert "ampy-bus contract" not in done.stdout


def test_own_tests_run_beside_the_suites_when_named(project: Path) -> None:
    done = run(project, "check_own.py")
    assert done.returncode == 0
    assert "check_own.py" in done.stdout


def test_one_check_is_selected_by_its_id(project: Path) -> None:
    done = run(project, "-k", "ENV-05")
    assert done.returncode == 0
    assert "1 passed, " in done.stdout
    assert "THE COUNTS" not in done.stdout


def test_a_binding_of_a_users_own_is_judged_on_a_real_server(project: Path) -> None:
    done = run(project, "--ampybus-binding", "bus:factory", "-k", "ENV or ORD-01 or DLQ-01 or IDM-01")
    assert done.returncode == 0, done.stdout
    assert "version nats server v" in done.stdout


def test_a_binding_that_says_yes_and_does_nothing_fails(project: Path) -> None:
    done = run(project, "--ampybus-binding", "bus:silent", "-k", "ORD-01 or DLQ-03")
    assert done.returncode == 1
    assert "FAIL ORD-01" in done.stdout
    assert re.search(r"Retry and DLQ +0 +0 +1", done.stdout)
    assert "run just this again: pytest --ampybus-conformance --ampybus-binding bus:silent" in done.stdout


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--ampybus-binding", "kafka9"], 2, "expected memory, nats, kafka or package.module:factory"),
        (["--ampybus-binding", "no_such:factory"], 2, "expected to import 'no_such'"),
        (["--ampybus-binding", "bus:nothing"], 2, "expected 'nothing' in bus"),
        (["--ampybus-binding", "bus:number"], 2, "expected something callable"),
        (["--ampybus-binding", "nats", "--ampybus-broker", "memory"], 2, "binding and broker that fit"),
        (["--ampybus-recovery", "0"], 2, "expected seconds for --ampybus-recovery, got 0"),
        (
            ["--ampybus-binding", "nats", "--ampybus-broker", "rabbit"],
            2,
            "expected memory, embedded, embedded:nats",
        ),
        (
            ["--ampybus-binding", "nats", "--ampybus-broker", "nats://u:pw@127.0.0.1:1"],
            2,
            "at nats://127.0.0.1:1",
        ),
        (["--ampybus-spec", "no-such-directory"], 2, "expected a readable file"),
        (
            ["--ampybus-binding", "bus:raising", "-k", "ENV-01"],
            1,
            "the factory raised RuntimeError('no config')",
        ),
        (["--ampybus-binding", "bus:Half", "-k", "ENV-01"], 1, "Half lacks publish, subscribe, stop"),
        (["-k", "NO-99"], 2, "deselected"),
    ],
)
def test_a_wrong_word_is_answered_with_what_to_do(
    project: Path, words: list[str], code: int, says: str
) -> None:
    done = run(project, *words)
    assert says in done.stdout + done.stderr
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "pw@" not in done.stdout + done.stderr


@pytest.mark.server
def test_a_server_without_jetstream_is_named(project: Path) -> None:
    with nats_server(jetstream=False) as server:
        done = run(project, "--ampybus-binding", "nats", "--ampybus-broker", server.url)
    assert done.returncode == 2
    assert "Fix: start nats-server with -js" in done.stdout + done.stderr


@pytest.mark.server
def test_a_given_server_is_used_and_left_clean(project: Path) -> None:
    with nats_server() as server:
        words = ["--ampybus-binding", "nats", "--ampybus-broker", server.url, "-k", "ENV-01 or DLQ-04"]
        assert run(project, *words).returncode == 0
        assert run(project, *words).returncode == 0


def test_an_interrupt_leaves_no_process_and_no_files(project: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    words = command("-s", "--ampybus-conformance", "--ampybus-binding", "bus:hanging", "-k", "ENV-01")
    os.mkfifo(project / "publishing")
    pipe = os.open(project / "publishing", os.O_RDONLY | os.O_NONBLOCK)
    process = subprocess.Popen(
        words, cwd=project, stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(scratch)}
    )
    assert select.select([pipe], [], [], 60)[0]
    os.close(pipe)
    servers = children(process.pid)
    assert servers
    process.send_signal(signal.SIGINT)
    out, _err = process.communicate(timeout=60)
    assert process.returncode == 2, out
    assert [path for path in scratch.iterdir() if not path.name.startswith("pytest-")] == []
    for pid in servers:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def children(pid: int) -> list[int]:
    """The processes that a process started."""
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_the_suites_follow_the_yaml(project: Path, spec_copy: Path) -> None:
    bars = (spec_copy / "domains/bars.yaml").read_text()
    (spec_copy / "domains/bars.yaml").write_text(bars.replace("'{mic}.{symbol}'", "'{symbol}@{mic}'"))
    headers = (spec_copy / "headers.yaml").read_text()
    changed = re.sub(r"(run_id: .*pattern: )'[^']*'(, example: )\w+", r"\1'run-[0-9]+'\2run-7", headers)
    assert changed != headers
    (spec_copy / "headers.yaml").write_text(changed)
    (spec_copy / "domains/candles.yaml").write_text(bars.replace("domain: bars", "domain: candles"))
    samples = (spec_copy / "samples.yaml").read_text()
    own = samples[samples.index("  bars:") : samples.index("  orders:")].replace("  bars:", "  candles:")
    (spec_copy / "samples.yaml").write_text(samples + own)
    (project / "bus.py").write_text(
        "from pathlib import Path\n"
        "from ampybus_contract.bindings.nats import NatsTransport\n"
        "from ampybus_contract.bindings.reference import ReferenceBinding\n"
        "from ampybus_contract.contract import load_contract\n"
        f"CHANGED = load_contract(Path({str(spec_copy)!r}))\n"
        "def new():\n    return ReferenceBinding(NatsTransport(), CHANGED)\n"
        "def old():\n    return ReferenceBinding(NatsTransport())\n"
    )
    words = ["--ampybus-spec", str(spec_copy), "-k", "ENV-01 or KEY-01", "--ampybus-binding"]
    assert run(project, *words, "bus:new").returncode == 0
    outdated = run(project, *words, "bus:old")
    assert outdated.returncode == 1
    assert "AA@XNAS" in outdated.stdout
    assert Workload(load_contract(spec_copy), 1).envelope("candles").topic.split(".")[2] == "candles"


def test_reports_are_written_in_the_forms_asked_for(project: Path) -> None:
    files = ("run.json", "run.html", "run.xml")
    done = run(project, "-k", "ENV-05", *(f"--ampybus-report={name}" for name in files))
    assert done.returncode == 0
    assert [
        name for name in files if f"report: {name}" in done.stdout and (project / name).stat().st_size
    ] == [*files]


def test_a_report_of_an_unknown_form_ends_the_run_before_it_begins(project: Path) -> None:
    done = run(project, "--ampybus-report", "run.pdf")
    assert done.returncode == 2
    assert "expected a file ending in .json" in done.stdout + done.stderr


def test_workers_of_xdist_give_one_report(project: Path) -> None:
    done = run(project, "-n", "2", "--ampybus-report", "run.json")
    assert done.returncode == 0, done.stdout
    assert re.search(r"(?m)^\d+ \+ 0 \+ \d+ \+ 0 = (\d+) of \1 checks with a suite", done.stdout)
    assert done.stdout.count("report: run.json") == 1


def test_workers_say_what_was_not_asked_for(project: Path) -> None:
    done = run(project, "-n", "2", "-k", "ENV-05 or ORD-01", "--ampybus-report", "run.json")
    assert done.returncode == 0, done.stdout
    checks = json.loads((project / "run.json").read_text())["checks"]
    verdicts = [item["verdict"] for item in checks]
    assert sorted({*verdicts}) == ["deselected", "pass"]
    assert verdicts.count("pass") == 2
    assert {item["id"] for item in checks if item["seconds"] is not None} == {"ENV-05", "ORD-01"}


LOSSY = """
from ampybus_contract.bindings.memory import MemoryTransport
from ampybus_contract.bindings.reference import ReferenceBinding

class Lossy(ReferenceBinding):
    async def publish(self, envelope):
        if "*" not in envelope.topic:
            return await super().publish(envelope)
        await self.transport.send(envelope)

def factory():
    return Lossy(NatsTransport())
"""


@pytest.mark.parametrize(
    ("check", "code", "says"), [("TOP-03", 0, "KNOWN DEVIATION TOP-03"), ("ENV-05", 1, "stale")]
)
def test_known_deviations_pass_and_stale_ones_fail(project: Path, check: str, code: int, says: str) -> None:
    (project / "lossy.py").write_text(
        LOSSY.replace("memory import MemoryTransport", "nats import NatsTransport")
    )
    (project / "known.yaml").write_text(
        "deviations:\n"
        f"- {{requirement: {check}, reason: r, issue: 'https://a.example/7', expires: 2999-01-01}}\n"
    )
    words = ["--ampybus-binding", "lossy:factory", "--ampybus-deviations", "known.yaml"]
    done = run(project, *words, "-k", check)
    assert done.returncode == code, done.stdout
    assert says in done.stdout


@pytest.fixture
def lossy(project: Path) -> Path:
    """A project whose binding does not refuse wildcards, until a file says that it is mended."""
    mended = (
        'if "*" not in envelope.topic or __import__("pathlib").Path(__file__).with_name("mended").exists():'
    )
    (project / "lossy.py").write_text(
        LOSSY.replace("memory import MemoryTransport", "nats import NatsTransport").replace(
            'if "*" not in envelope.topic:', mended
        )
    )
    return project


def verdicts_of(project: Path) -> dict[str, str]:
    return {item["id"]: item["verdict"] for item in json.loads((project / "run.json").read_text())["checks"]}


def test_the_first_failure_ends_the_run_and_the_rest_is_named_in_one_line(lossy: Path) -> None:
    words = ["--ampybus-binding", "lossy:factory", "--ampybus-report", "run.json"]
    done = run(lossy, *words, "-x", "-k", "TOP-01 or TOP-03 or TOP-04 or TOP-05")
    assert done.returncode == 1
    assert "stopping after 1 failures" in done.stdout
    found = verdicts_of(lossy)
    left = " ".join(name for name, verdict in found.items() if verdict == "inconclusive")
    assert left
    assert found["TOP-03"] == "fail"
    assert f"INCONCLUSIVE, did not run: {left}\n" in done.stdout
    assert done.stdout.count("INCONCLUSIVE") == 1


@pytest.mark.parametrize("workers", [[], ["-n", "1"]])
def test_what_failed_last_runs_alone_also_where_the_suites_are_below_the_project(
    lossy: Path, workers: list[str]
) -> None:
    words = ["--ampybus-binding", "lossy:factory", "--ampybus-report", "run.json"]

    def cached(*more: str) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-o",
            f"cache_dir={lossy / 'cache'}",
            "--rootdir",
            str(ROOT),
        ]
        return subprocess.run(
            [*command, "--ampybus-conformance", *words, *more],
            cwd=lossy, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    assert cached("-k", "TOP-03 or ENV-05").returncode == 1
    again = cached(*workers, "--lf")
    assert again.returncode == 1, again.stdout
    assert {name for name, verdict in verdicts_of(lossy).items() if verdict != "deselected"} == {"TOP-03"}
    (lossy / "mended").touch()
    assert cached(*workers, "--lf").returncode == 0
