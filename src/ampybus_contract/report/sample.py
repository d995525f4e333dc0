"""Runs to show reports with: a binding that is broken in three ways, and the one that is not."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import partial

from ampybus_contract.bindings.memory import MemoryTransport
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.transport import Transport
from ampybus_contract.brokers.memory import MemorySource
from ampybus_contract.contract import Contract, data_directory, default_contract
from ampybus_contract.contract.digest import spec_digest
from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.judge import Judge
from ampybus_contract.harness.mutants.build import Build, ChangesDeliveries, setting
from ampybus_contract.harness.mutants.dead_letters import RenamesDeadLetters
from ampybus_contract.harness.mutants.ordering import ShufflesBatches
from ampybus_contract.harness.suites import suites
from ampybus_contract.report.document import Heading, RunReport, run_report

NAME = "my_bus:Bus"
SEED = 1
STARTED_AT = "2026-01-05T09:30:00Z"


class Broken(ChangesDeliveries, RenamesDeadLetters):
    """Alters a header, hands messages over out of order, and gives dead letters ids of their own."""

    @staticmethod
    def change(envelope: Envelope) -> Envelope:
        """Another producer than the one that sent it."""
        return setting(producer="bus-gateway@1")(envelope)


class Mended(RenamesDeadLetters):
    """Has only one of the three faults left."""


def broken(transport: Transport, contract: Contract) -> ReferenceBinding:
    """The binding with all three faults."""
    return Broken(ShufflesBatches(transport, lambda envelope: envelope), contract)


def sample_runs(only: Collection[str] = ()) -> list[RunReport]:
    """A run of the broken binding, one of it when nearly mended, and one of the reference binding, on memory.

    ``only`` names checks to judge, where not all of them.
    """
    builds: tuple[tuple[str, Build], ...] = ((NAME, broken), (NAME, Mended), ("memory", ReferenceBinding))
    return [
        replace(_judged(name, build, only), started_at=STARTED_AT.replace("09", f"{9 + hours:02}"))
        for hours, (name, build) in enumerate(builds)
    ]


def _judged(name: str, build: Build, only: Collection[str]) -> RunReport:
    contract, source = default_contract(), MemorySource()
    judge = Judge(contract, source, partial(_made, build, contract), SEED, name=name)
    results = [
        judge.judge(check, suites()[check].scenario, suites()[check].checkers)
        for check in contract.judged
        if not only or check in only
    ]
    heading = Heading(name, None, source.name, source.settings, SEED)
    return run_report(contract, spec_digest(data_directory("spec")), STARTED_AT, heading, results)


def _made(build: Build, contract: Contract) -> ReferenceBinding:
    return build(MemoryTransport(), contract)
