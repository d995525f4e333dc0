"""The checks on encryption: the reference bindings pass where a broker has TLS, and each mutant fails."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest

from ampybus_contract.bindings.memory import MemoryTransport
from ampybus_contract.bindings.nats import NatsTransport
from ampybus_contract.bindings.protocol import Subscription
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.transport import Incoming
from ampybus_contract.brokers.memory import MemorySource
from ampybus_contract.brokers.nats_server import nats_server
from ampybus_contract.brokers.nats_stream import NatsSource
from ampybus_contract.brokers.protocol import Broker
from ampybus_contract.harness.judge import Judge
from ampybus_contract.harness.mutants import Mutant, encryption
from ampybus_contract.harness.verdicts import Verdict
from tests.harness.judging import CONTRACT, SUITES, broken, verdict

pytestmark = pytest.mark.server

MINIMUM = CONTRACT.security.tls_minimum
MUTANTS = encryption.mutants(CONTRACT)
PATIENCE = 1.0
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
    assert verdict(mutant.check, secured, broken(mutant, NatsTransport), patience=PATIENCE) is Verdict.FAIL


class Lingers(NatsTransport):
    """Hands nothing over after a broken connection for longer than the harness waits without one."""

    async def consume(self, subscription: Subscription) -> AsyncIterator[Incoming]:
        return self._late(await super().consume(subscription))

    async def _late(self, messages: AsyncIterator[Incoming]) -> AsyncIterator[Incoming]:
        lingered = False
        async for message in messages:
            if not lingered and self.client is not None and self.client.stats["reconnects"]:
                lingered = True
                await asyncio.sleep(3 * PATIENCE)
            yield message


def test_renewed_certificates_wait_for_what_a_broken_connection_had_in_hand(secured: NatsSource) -> None:
    def lingers() -> ReferenceBinding:
        return ReferenceBinding(Lingers(), CONTRACT)

    assert verdict("SEC-05", secured, lingers, patience=PATIENCE) is Verdict.PASS


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
