"""Each mutant is killed by its own check, and the unbroken binding passes all."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from ampybus_contract.bindings.memory import MemoryTransport
from ampybus_contract.bindings.protocol import Handler, Settlement, Subscription
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.brokers.memory import MemorySource
from ampybus_contract.contract import data_directory
from ampybus_contract.envelope import Envelope
from ampybus_contract.errors import PublishError
from ampybus_contract.harness.mutants import Mutant
from ampybus_contract.harness.verdicts import Verdict
from tests.harness.judging import CONTRACT, MUTANTS, SUITES, applies, broken, verdict


@pytest.mark.parametrize(
    "mutant",
    [mutant for mutant in MUTANTS if applies(mutant.check, MemorySource())],
    ids=lambda mutant: re.sub(r"\W+", "-", mutant.name),
)
def test_a_mutant_fails_its_check_on_the_simulator(mutant: Mutant) -> None:
    factory = broken(mutant, MemoryTransport)
    assert verdict(mutant.check, MemorySource(), factory, scenario=mutant.scenario) is Verdict.FAIL


@pytest.mark.parametrize("check", SUITES)
def test_the_unbroken_binding_passes(check: str) -> None:
    found = verdict(check, MemorySource(), lambda: ReferenceBinding(MemoryTransport(), CONTRACT))
    assert found is (Verdict.PASS if applies(check, MemorySource()) else Verdict.NOT_CLAIMED)


def test_every_check_has_a_suite_and_a_mutant() -> None:
    checks = set(CONTRACT.judged)
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

    without_subscription = {"TOP-01", "TOP-03", "KEY-01", "KEY-03", "KEY-04", "AUD-06"}
    for check in set(SUITES) - without_subscription:
        assert verdict(check, MemorySource(), lambda: Forgets(MemoryTransport())) is not Verdict.PASS, check
