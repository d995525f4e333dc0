"""The checks on encryption: the reference bindings pass where a broker has TLS, and each mutant fails."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

import pytest

from ampybus_contract.bindings.memory import MemoryTransport
from ampybus_contract.bindings.nats import NatsTransport
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.brokers.memory import MemorySource
from ampybus_contract.brokers.nats_server import nats_server
from ampybus_contract.brokers.nats_stream import NatsSource
from ampybus_contract.brokers.protocol import Broker
from ampybus_contract.contract import default_contract
from ampybus_contract.harness.judge import Judge
from ampybus_contract.harness.mutants import Mutant, encryption
from ampybus_contract.harness.verdicts import Verdict
from test_mutants import SUITES, broken, verdict

CONTRACT = default_contract()
MINIMUM = CONTRACT.security.tls_minimum
MUTANTS = encryption.mutants(CONTRACT)
CHECKS = sorted({mutant.check for mutant in MUTANTS})


@pytest.fixture(scope="module")
def secured() -> Iterator[NatsSource]:
    with nats_server(tls=True) as server:
        assert server.certificates is not None
        files = server.certificates.files
        source = NatsSource(server.url, "ampy", "nats", files, MINIMUM, server)
        source.verify()
        yield source


def reference() -> ReferenceBinding:
    return ReferenceBinding(NatsTransport(), CONTRACT)


@pytest.mark.parametrize("check", [*CHECKS, "SEC-10"])
def test_the_reference_binding_passes(check: str, secured: NatsSource) -> None:
    assert verdict(check, secured, reference) is Verdict.PASS


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: re.sub(r"\W+", "-", mutant.name))
def test_a_mutant_fails_its_check(mutant: Mutant, secured: NatsSource) -> None:
    assert verdict(mutant.check, secured, broken(mutant, NatsTransport), patience=1.0) is Verdict.FAIL


@pytest.mark.parametrize("check", CHECKS)
def test_without_tls_nothing_is_claimed(check: str) -> None:
    with nats_server() as server:
        plain = NatsSource(server.url, "ampy", "nats")
        plain.verify()
        judged = partial(Judge, CONTRACT, factory=reference, seed=1)
        suite = SUITES[check]
        result = judged(plain).judge(check, suite.scenario, suite.checkers)
        assert result.verdict is Verdict.NOT_CLAIMED
        assert "not claimed by this broker" in result.reason
    memory: Broker = MemorySource()
    assert verdict(check, memory, lambda: ReferenceBinding(MemoryTransport())) is Verdict.NOT_CLAIMED
