"""Each mutant that a nats-server can show is killed there by its own check; the unbroken binding passes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ampybus_contract.bindings.nats import NatsTransport
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.brokers.nats_server import NatsServer, nats_server
from ampybus_contract.brokers.nats_stream import NatsSource
from ampybus_contract.harness.mutants import Mutant
from ampybus_contract.harness.verdicts import Verdict
from tests.harness.judging import CONTRACT, MUTANTS, SUITES, applies, broken, verdict

pytestmark = pytest.mark.server
OWN_NATS = NatsSource("", "", "", server=NatsServer(Path(), ""))


@pytest.fixture(scope="module")
def nats() -> Iterator[NatsSource]:
    with nats_server() as server:
        yield NatsSource(server.url, CONTRACT.topic.prefix, "nats", server=server)


@pytest.mark.parametrize(
    "mutant",
    [mutant for mutant in MUTANTS if not mutant.virtual and applies(mutant.check, OWN_NATS)],
    ids=lambda mutant: re.sub(r"\W+", "-", mutant.name),
)
def test_a_mutant_fails_its_check_on_a_real_server(mutant: Mutant, nats: NatsSource) -> None:
    factory = broken(mutant, NatsTransport)
    assert verdict(mutant.check, nats, factory, patience=1.0, scenario=mutant.scenario) is Verdict.FAIL


@pytest.mark.parametrize("check", SUITES)
def test_the_unbroken_binding_passes(check: str, nats: NatsSource) -> None:
    found = verdict(check, nats, lambda: ReferenceBinding(NatsTransport(), CONTRACT))
    assert found is (Verdict.PASS if applies(check, nats) else Verdict.NOT_CLAIMED)
