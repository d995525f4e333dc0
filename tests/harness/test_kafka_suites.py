"""The conformance suites on a real Apache Kafka and on the light server: the reference binding passes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ampybus_contract.bindings.kafka import KafkaTransport
from ampybus_contract.bindings.memory import MemoryTransport
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.brokers.kafka_distribution import why_not
from ampybus_contract.brokers.kafka_light import light_kafka_server
from ampybus_contract.brokers.kafka_source import embedded_kafka
from ampybus_contract.brokers.kafka_stream import KafkaSource
from ampybus_contract.brokers.protocol import Broker
from ampybus_contract.harness.verdicts import Verdict
from tests.harness.judging import CONTRACT, SUITES, verdict

WHY_NOT = why_not()
needs_kafka = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))


@pytest.fixture(scope="module")
def kafka() -> Iterator[Broker]:
    with embedded_kafka(CONTRACT) as source:
        yield source


@pytest.fixture(scope="module")
def light() -> Iterator[Broker]:
    with light_kafka_server() as server:
        yield KafkaSource(server.url, CONTRACT, "light")


def reference() -> ReferenceBinding:
    return ReferenceBinding(KafkaTransport(), CONTRACT)


def expected(check: str, broker: Broker) -> Verdict:
    """A check that needs more of the broker than it has is never passed."""
    lacking = CONTRACT.checks[check].lacks(getattr(broker, "levers", frozenset()))
    return Verdict.NOT_CLAIMED if lacking else Verdict.PASS


def test_all_that_the_binding_claims_elsewhere_it_claims_here() -> None:
    assert ReferenceBinding(MemoryTransport(), CONTRACT).capabilities <= reference().capabilities


@pytest.mark.kafka
@needs_kafka
@pytest.mark.parametrize("check", SUITES)
def test_the_reference_binding_passes_on_apache_kafka(check: str, kafka: Broker) -> None:
    assert verdict(check, kafka, reference) is expected(check, kafka)


@pytest.mark.kafka
@pytest.mark.parametrize("check", SUITES)
def test_the_reference_binding_passes_on_the_light_server(check: str, light: Broker) -> None:
    assert verdict(check, light, reference) is expected(check, light)
