"""Broken bindings on a real Apache Kafka and on the light server: each fails its check."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from ampybus_contract.bindings.kafka import KafkaTransport
from ampybus_contract.brokers.kafka_distribution import why_not
from ampybus_contract.brokers.kafka_light import light_kafka_server
from ampybus_contract.brokers.kafka_source import EMBEDDED, embedded_kafka
from ampybus_contract.brokers.kafka_stream import KafkaSource
from ampybus_contract.brokers.protocol import Broker
from ampybus_contract.harness.mutants import Mutant
from ampybus_contract.harness.verdicts import Verdict
from tests.harness.judging import CONTRACT, MUTANTS, broken, verdict

pytestmark = pytest.mark.kafka

WHY_NOT = why_not()
OWN_KAFKA = KafkaSource("kafka://127.0.0.1:1", CONTRACT, "", EMBEDDED)
HIDDEN = {
    "BIG-02": "the mutant sends what NATS cuts connections for; Kafka answers it",
    "FLT-03": "a publish waits longer than the broker stands still",
    "FLT-04": "the mutant takes its word from a NATS client",
    "ORD-05": "a Kafka client that reconnects has lost nothing that it held",
}
ONE_PER_CHECK = {
    mutant.check: mutant
    for mutant in MUTANTS
    if not mutant.virtual
    and mutant.check not in HIDDEN
    and not CONTRACT.checks[mutant.check].lacks(OWN_KAFKA.levers)
}.values()
PARTITIONED = [mutant for mutant in MUTANTS if CONTRACT.checks[mutant.check].needs == ("partitions",)]
needs_kafka = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))


@pytest.fixture(scope="module")
def kafka() -> Iterator[Broker]:
    with embedded_kafka(CONTRACT) as source:
        yield source


@pytest.fixture(scope="module")
def light() -> Iterator[Broker]:
    with light_kafka_server() as server:
        yield KafkaSource(server.url, CONTRACT, "light")


@needs_kafka
@pytest.mark.parametrize("mutant", ONE_PER_CHECK, ids=lambda mutant: re.sub(r"\W+", "-", mutant.name))
def test_a_mutant_fails_its_check_on_apache_kafka(mutant: Mutant, kafka: Broker) -> None:
    factory = broken(mutant, KafkaTransport)
    assert verdict(mutant.check, kafka, factory, patience=1.0, scenario=mutant.scenario) is Verdict.FAIL


@pytest.mark.parametrize("mutant", PARTITIONED, ids=lambda mutant: re.sub(r"\W+", "-", mutant.name))
def test_a_mutant_of_partitions_fails_its_check_on_the_light_server(mutant: Mutant, light: Broker) -> None:
    assert verdict(mutant.check, light, broken(mutant, KafkaTransport), patience=1.0) is Verdict.FAIL
