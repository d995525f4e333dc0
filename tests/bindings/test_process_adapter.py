"""A binding in another process is judged as any other, and a broken adapter gets a verdict about itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

import ampybus_contract
from ampybus_contract.bindings.process import ProcessBinding, greeted
from ampybus_contract.bindings.process_lines import endpoint_to, envelope_to
from ampybus_contract.bindings.process_link import ANSWER_SECONDS
from ampybus_contract.bindings.protocol import Endpoint
from ampybus_contract.brokers.nats_server import nats_server
from ampybus_contract.brokers.nats_stream import NatsSource
from ampybus_contract.contract import default_contract
from ampybus_contract.envelope import Envelope, Headers
from ampybus_contract.errors import AdapterError, TargetError
from ampybus_contract.harness.judge import Judge
from ampybus_contract.harness.suites import suites
from ampybus_contract.harness.verdicts import Result, Verdict
from ampybus_contract.pytest_plugin.targets import binding_factory

ADAPTER = Path(__file__).with_name("process_adapter.py")
SCHEMAS = Path(ampybus_contract.__file__).parent / "bindings/schema"
CONTRACT = default_contract()
SHORT_SECONDS = 2.0


def command(fault: str = "") -> list[str]:
    return [sys.executable, str(ADAPTER), *([fault] if fault else [])]


@pytest.fixture(scope="module")
def nats() -> Iterator[NatsSource]:
    with nats_server() as server:
        yield NatsSource(server.url, CONTRACT.topic.prefix, "nats", server=server)


def judged(nats: NatsSource, check: str, fault: str = "") -> Result:
    claimed = greeted(command(fault))
    seconds = SHORT_SECONDS if fault in ("hangs", "stalls") else ANSWER_SECONDS
    judge = Judge(CONTRACT, nats, lambda: ProcessBinding(command(fault), claimed, seconds), 1, patience=1.0)
    return judge.judge(check, suites()[check].scenario, suites()[check].checkers)


@pytest.mark.server
@pytest.mark.parametrize("check", ["ENV-01", "ENV-06", "ORD-01", "IDM-01", "DLQ-01", "TOP-01"])
def test_an_adapter_is_judged_as_any_binding(nats: NatsSource, check: str) -> None:
    assert judged(nats, check).verdict is Verdict.PASS


@pytest.mark.server
def test_what_an_adapter_does_not_claim_is_not_claimed(nats: NatsSource) -> None:
    assert judged(nats, "OBS-01").verdict is Verdict.NOT_CLAIMED


@pytest.mark.server
@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("hangs", "an answer to publish within"),
        ("stalls", "an answer to publish within"),
        ("crashes", "its end with code 7; it said 'out of luck'"),
        ("floods", "one answer, in time"),
        ("chatters", "got no JSON"),
        ("endless", "lines of at most"),
        ("twice", "one answer, in time, got another"),
        ("unasked", "answers to commands that were given"),
        ("repeats", "a new name for each delivery"),
    ],
)
def test_a_broken_adapter_gets_a_verdict_about_the_adapter(nats: NatsSource, fault: str, says: str) -> None:
    found = judged(nats, "ENV-01", fault)
    assert found.verdict is Verdict.FAIL
    assert found.reason.startswith("ADAPTER expected")
    assert says in found.reason


@pytest.mark.server
def test_an_adapter_that_changes_its_claims_midway_gets_a_verdict(nats: NatsSource) -> None:
    found = judged(nats, "ENV-01", "changes")
    assert (found.verdict, "the same capabilities" in found.reason) == (Verdict.FAIL, True)


@pytest.mark.server
def test_an_adapter_that_agrees_to_anything_is_not_trusted() -> None:
    with pytest.raises(AdapterError, match="expected the error 'unsupported'"):
        greeted(command("agrees"))


@pytest.mark.server
@pytest.mark.parametrize("words", ["process:", "process:'open", "process:/no/such/program"])
def test_an_adapter_that_cannot_be_started_is_named(words: str) -> None:
    with pytest.raises((TargetError, AdapterError), match=r"Fix: "):
        binding_factory(words, CONTRACT)


@pytest.mark.server
def test_no_process_is_left(nats: NatsSource) -> None:
    before = children()
    for fault in ("crashes", "chatters"):
        judged(nats, "ENV-01", fault)
    assert children() <= before


def children() -> set[str]:
    return set(Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split())


def test_the_schemas_describe_what_is_written() -> None:
    for path in SCHEMAS.glob("*.json"):
        Draft202012Validator.check_schema(json.loads(path.read_text()))
    sent = Draft202012Validator(json.loads((SCHEMAS / "to-adapter.schema.json").read_text()))
    envelope = Envelope("ampy.dev.bars.v1.XNAS.AAPL", Headers({"producer": "p"}), b"\x00\xff")
    lines = [
        {"id": 1, "command": "hello", "protocol": 1},
        {"id": 2, "command": "start", "endpoint": endpoint_to(Endpoint("nats://127.0.0.1:1"))},
        {"id": 3, "command": "publish", "envelope": envelope_to(envelope)},
        {"settle": "d1", "settlement": "retry"},
        {"settle": "d1", "settlement": "retry", "raised": "ValueError: too late"},
    ]
    assert [list(sent.iter_errors(line)) for line in lines] == [[]] * len(lines)
    assert not sent.is_valid({"settle": "d1", "settlement": "later"})


@pytest.mark.subprocess
def test_the_plugin_judges_a_process(tmp_path: Path) -> None:
    words = ["--ampybus-conformance", "--ampybus-binding", f"process:{' '.join(command())}", "-k", "ENV-05"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


@pytest.mark.server
def test_capabilities_are_those_of_the_first_greeting_and_to_be_killed() -> None:
    assert greeted(command()) == {"retry", "deduplication", "dlq"}
    assert ProcessBinding(["x"], frozenset({"dlq"})).capabilities == {"dlq", "kill"}
