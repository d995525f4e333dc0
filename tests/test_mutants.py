"""Each mutant is killed by its own check, and the unbroken binding passes all."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ampybus_contract.bindings.memory import MemoryTransport
from ampybus_contract.bindings.nats import NatsTransport
from ampybus_contract.bindings.protocol import Handler, Settlement, Subscription
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.transport import Transport
from ampybus_contract.brokers.memory import MemorySource
from ampybus_contract.brokers.nats_server import NatsServer, nats_server
from ampybus_contract.brokers.nats_stream import NatsSource
from ampybus_contract.brokers.protocol import Broker
from ampybus_contract.contract import data_directory, default_contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.errors import PublishError
from ampybus_contract.harness.judge import PATIENCE_SECONDS, Judge
from ampybus_contract.harness.kill_matrix import impatient
from ampybus_contract.harness.mutants import Mutant, mutants
from ampybus_contract.harness.schedules import Scenario, Scheduled
from ampybus_contract.harness.suites import suites
from ampybus_contract.harness.verdicts import Verdict

SUITES = suites()
MUTANTS = mutants()
OWN_NATS = NatsSource("", "", "", server=NatsServer(Path(), ""))


@pytest.fixture(scope="module")
def nats() -> Iterator[NatsSource]:
    with nats_server() as server:
        yield NatsSource(server.url, default_contract().topic.prefix, "nats", server=server)


def verdict(
    check: str,
    broker: Broker,
    factory: Callable[[], ReferenceBinding],
    patience: float = PATIENCE_SECONDS,
    scenario: Scenario | Scheduled | None = None,
) -> Verdict:
    suite = SUITES[check]
    return (
        Judge(impatient(default_contract()), broker, factory, 1, patience=patience)
        .judge(check, scenario or suite.scenario, suite.checkers)
        .verdict
    )


def broken(mutant: Mutant, transport: type[Transport]) -> Callable[[], ReferenceBinding]:
    return lambda: mutant.build(transport(), default_contract())


def applies(check: str, broker: Broker) -> bool:
    """Whether a broker has what a check needs."""
    return not default_contract().checks[check].lacks(getattr(broker, "levers", frozenset()))


@pytest.mark.parametrize(
    "mutant",
    [mutant for mutant in MUTANTS if applies(mutant.check, MemorySource())],
    ids=lambda mutant: re.sub(r"\W+", "-", mutant.name),
)
def test_a_mutant_fails_its_check_on_the_simulator(mutant: Mutant) -> None:
    factory = broken(mutant, MemoryTransport)
    assert verdict(mutant.check, MemorySource(), factory, scenario=mutant.scenario) is Verdict.FAIL


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
    contract = default_contract()
    on_memory = verdict(check, MemorySource(), lambda: ReferenceBinding(MemoryTransport(), contract))
    on_nats = verdict(check, nats, lambda: ReferenceBinding(NatsTransport(), contract))
    for found, broker in ((on_memory, MemorySource()), (on_nats, nats)):
        assert found is (Verdict.PASS if applies(check, broker) else Verdict.NOT_CLAIMED)


def test_every_check_has_a_suite_and_a_mutant() -> None:
    checks = set(default_contract().judged)
    assert set(SUITES) == checks
    assert {mutant.check for mutant in MUTANTS} == checks


def test_the_suites_are_short() -> None:
    for path in Path(data_directory("conformance")).glob("*.py"):
        assert len(path.read_text().splitlines()) < 100


def test_a_binding_that_refuses_part_of_what_is_valid_is_not_passed() -> None:
    class Picky(ReferenceBinding):
        turn = 0

        async def publish(self, envelope: Envelope) -> None:
            self.turn += 1
            if self.turn % 2:
                raise PublishError("not today", definite=True)
            await super().publish(envelope)

    for check in SUITES:
        assert verdict(check, MemorySource(), lambda: Picky(MemoryTransport())) is not Verdict.PASS


def test_a_binding_that_loses_some_messages_passes_no_check_that_reads_them() -> None:
    class Forgets(ReferenceBinding):
        async def subscribe(self, subscription: Subscription, handler: Handler) -> None:
            count = itertools.count()

            async def sometimes(envelope: Envelope) -> Settlement:
                return await handler(envelope) if next(count) % 2 else Settlement.OK

            await super().subscribe(subscription, sometimes)

        async def resume(self, subscription: Subscription, handler: Handler) -> None:
            count = itertools.count()

            async def sometimes(envelope: Envelope) -> Settlement:
                return await handler(envelope) if next(count) % 2 else Settlement.OK

            await super().resume(subscription, sometimes)

    without_subscription = {"TOP-01", "TOP-03", "KEY-01", "KEY-03", "KEY-04"}
    for check in set(SUITES) - without_subscription:
        assert verdict(check, MemorySource(), lambda: Forgets(MemoryTransport())) is not Verdict.PASS, check
