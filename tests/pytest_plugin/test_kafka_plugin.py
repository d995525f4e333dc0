"""``--ampybus-binding kafka`` and the words for its brokers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from ampybus_contract.bindings.memory import MemoryTransport
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.brokers.kafka_distribution import why_not
from ampybus_contract.brokers.kafka_light import light_kafka_server
from ampybus_contract.brokers.memory import MemorySource
from ampybus_contract.contract import default_contract
from ampybus_contract.errors import TargetError
from ampybus_contract.harness.judge import Judge
from ampybus_contract.harness.verdicts import Verdict
from ampybus_contract.pytest_plugin import brokers, targets
from tests.harness.judging import SUITES

SECONDS = 240.0
WHY_NOT = why_not()
needs_kafka = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))


def run(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    (directory / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--ampybus-conformance", *words]
    return subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=SECONDS, check=False
    )


@pytest.mark.kafka
@pytest.mark.subprocess
@needs_kafka
def test_the_kafka_binding_is_judged_on_apache_kafka(tmp_path: Path) -> None:
    done = run(tmp_path, "--ampybus-binding", "kafka", "-k", "ENV-01 or ORD-01")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "binding kafka\non Apache Kafka, embedded (version 4." in done.stdout
    assert "acks all" in done.stdout


@pytest.mark.kafka
@pytest.mark.subprocess
def test_the_light_server_can_be_asked_for(tmp_path: Path) -> None:
    words = ["--ampybus-binding", "kafka", "--ampybus-broker", "embedded:kafka-light", "-k", "ENV-01"]
    done = run(tmp_path, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "on light Kafka-compatible server, embedded" in done.stdout


@pytest.mark.subprocess
@pytest.mark.kafka
def test_a_given_cluster_is_used(tmp_path: Path) -> None:
    with light_kafka_server() as server:
        words = ["--ampybus-binding", "kafka", "--ampybus-broker", server.url, "-k", "ENV-01"]
        done = run(tmp_path, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"on Kafka (url {server.url}" in done.stdout


@pytest.mark.parametrize(
    ("spec", "binding"),
    [
        ("embedded:kafka", "nats"),
        ("kafka://127.0.0.1:1", "nats"),
        ("embedded:nats", "kafka"),
        ("nats://127.0.0.1:1", "kafka"),
        ("memory", "kafka"),
        ("embedded:kafka", "memory"),
        ("memory", "package:factory"),
    ],
)
def test_a_binding_on_a_broker_of_another_kind_is_refused(spec: str, binding: str) -> None:
    with (
        pytest.raises(TargetError, match="binding and broker that fit"),
        brokers.broker(spec, binding, default_contract()),
    ):
        pass


@pytest.mark.parametrize(
    ("module", "call"),
    [
        ("ampybus_contract.bindings.kafka", lambda: targets.binding_factory("kafka", default_contract())),
        (
            "ampybus_contract.brokers.kafka_source",
            lambda: brokers.broker("embedded:kafka", "kafka", default_contract()).__enter__(),
        ),
    ],
)
def test_a_missing_client_is_named_with_its_extra(
    module: str, call: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(module, raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    assert callable(call)
    with pytest.raises(TargetError, match=r"expected aiokafka.*ampybus-contract\[kafka\]"):
        call()


class Gapped(MemorySource):
    """A broker that says why it lacks something."""

    levers = frozenset({"backlog"})
    gaps: ClassVar[Mapping[str, str]] = {"acl": "it has no users"}


def test_a_check_that_needs_what_the_broker_lacks_is_not_claimed_with_the_reason() -> None:
    contract = default_contract()
    needing = replace(contract.checks["ENV-01"], needs=("acl",))
    demanding = replace(contract, checks={**contract.checks, "ENV-01": needing})
    suite = SUITES["ENV-01"]
    judge = Judge(demanding, Gapped(), lambda: ReferenceBinding(MemoryTransport(), contract), 1)
    result = judge.judge("ENV-01", suite.scenario, suite.checkers)
    assert result.verdict is Verdict.NOT_CLAIMED
    assert result.reason == "not claimed by this broker: it has no acl (acl: it has no users)"
