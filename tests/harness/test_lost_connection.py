"""ORD-05 on a cluster whose leader is killed; what it says where neither leader nor link can be taken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from ampybus_contract.bindings.memory import MemoryTransport
from ampybus_contract.bindings.nats import NatsTransport
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.brokers.memory import MemorySource
from ampybus_contract.brokers.nats_source import clustered_nats
from ampybus_contract.brokers.protocol import Broker
from ampybus_contract.harness.judge import Judge
from ampybus_contract.harness.mutants.build import Build
from ampybus_contract.harness.verdicts import Result, Verdict
from tests.harness.judging import CONTRACT, MUTANTS, SUITES

CHECK = "ORD-05"
(MUTANT,) = (mutant for mutant in MUTANTS if mutant.check == CHECK)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Broker]:
    with clustered_nats(CONTRACT) as broker:
        yield broker


def judged(broker: Broker, transport: type[NatsTransport] | type[MemoryTransport], build: Build) -> Result:
    suite = SUITES[CHECK]
    judge = Judge(CONTRACT, broker, lambda: build(transport(), CONTRACT), 1)
    return judge.judge(CHECK, suite.scenario, suite.checkers)


@pytest.mark.server
def test_the_unbroken_binding_keeps_the_order_through_a_change_of_leader(cluster: Broker) -> None:
    result = judged(cluster, NatsTransport, ReferenceBinding)
    assert result.verdict is Verdict.PASS, result.reason


@pytest.mark.server
def test_a_binding_that_goes_on_with_what_is_newest_is_found_on_the_cluster(cluster: Broker) -> None:
    result = judged(cluster, NatsTransport, MUTANT.build)
    assert result.verdict is Verdict.FAIL
    assert "never got the message" in result.reason


def test_where_neither_can_be_taken_the_check_says_so() -> None:
    result = judged(MemorySource(), MemoryTransport, ReferenceBinding)
    assert result.verdict is Verdict.NOT_CLAIMED
    assert result.reason == "not claimed by this broker: it has no cluster or proxy"


def test_one_of_alternatives_is_enough_and_each_other_need_is_needed() -> None:
    rule = replace(CONTRACT.checks[CHECK], needs=("cluster|proxy", "tls"))
    assert rule.lacks({"proxy", "tls"}) == []
    assert rule.lacks({"cluster"}) == [("tls",)]
    assert rule.lacks({"tls"}) == [("cluster", "proxy")]
