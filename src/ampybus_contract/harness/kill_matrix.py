"""Which check fails for which mutant: the proof that the suites can fail, as a value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from ampybus_contract.bindings.memory import MemoryTransport
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.transport import Transport
from ampybus_contract.brokers.memory import MemorySource
from ampybus_contract.brokers.protocol import Broker
from ampybus_contract.contract import Contract
from ampybus_contract.harness.judge import PATIENCE_SECONDS, BindingFactory, Judge
from ampybus_contract.harness.mutants import Mutant, mutants
from ampybus_contract.harness.suites import suites
from ampybus_contract.harness.verdicts import Verdict

SEED = 1
REAL_PATIENCE_SECONDS = 1.0
MUST = "MUST"


@dataclass(frozen=True, slots=True)
class Kill:
    """What one mutant came to: the verdict of its own check, and the other checks that failed for it."""

    mutant: str
    check: str
    verdict: Verdict
    others: tuple[str, ...]

    @property
    def killed(self) -> bool:
        """Whether its own check failed."""
        return self.verdict is Verdict.FAIL


@dataclass(frozen=True, slots=True)
class KillMatrix:
    """All mutants against the suites, and the verdicts on the unbroken binding (``control``)."""

    broker: str
    control: Mapping[str, Verdict]
    kills: tuple[Kill, ...]

    def killers(self, checks: Sequence[str]) -> list[Kill]:
        """The mutants that these checks killed, each by its own check."""
        return [item for item in self.kills if item.killed and item.check in checks]


@dataclass(frozen=True, slots=True)
class Ground:
    """Where mutants are judged: a broker, the transport that speaks to it, and the patience in seconds."""

    broker: Broker
    transport: type[Transport]
    patience: float


@contextmanager
def _memory(_contract: Contract) -> Iterator[Ground]:
    yield Ground(MemorySource(), MemoryTransport, PATIENCE_SECONDS)


@contextmanager
def _nats(contract: Contract) -> Iterator[Ground]:
    from ampybus_contract.bindings.nats import NatsTransport  # noqa: PLC0415  needs an extra
    from ampybus_contract.brokers.nats_server import nats_server  # noqa: PLC0415  needs an extra
    from ampybus_contract.brokers.nats_stream import NatsSource  # noqa: PLC0415  needs an extra

    with nats_server() as server:
        source = NatsSource(server.url, contract.topic.prefix, "nats")
        yield Ground(source, NatsTransport, REAL_PATIENCE_SECONDS)


GROUNDS = {"memory": _memory, "nats": _nats}


def ground(name: str, contract: Contract) -> AbstractContextManager[Ground]:
    """A ground by its name, with a server of its own where it needs one. Raises KeyError for another."""
    return GROUNDS[name](contract)


def chosen(contract: Contract, words: str, broker: str) -> list[Mutant]:
    """The mutants whose check or name holds the words, as far as the broker can show them."""
    return [
        item
        for item in mutants(contract)
        if words.lower() in f"{item.check} {item.name}".lower() and (broker == "memory" or not item.virtual)
    ]


def verdicts(
    contract: Contract, place: Ground, factory: BindingFactory, checks: Sequence[str]
) -> dict[str, Verdict]:
    """The verdict of each of the checks on a binding."""
    judge = Judge(contract, place.broker, factory, SEED, patience=place.patience)
    return {
        check: judge.judge(check, suites()[check].scenario, suites()[check].checkers).verdict
        for check in checks
    }


def control(contract: Contract, place: Ground) -> dict[str, Verdict]:
    """The verdicts on the unbroken binding."""
    return verdicts(
        contract, place, lambda: ReferenceBinding(place.transport(), contract), list(contract.judged)
    )


def kill(contract: Contract, place: Ground, mutant: Mutant, alone: bool = False) -> Kill:
    """Judge a mutant by the whole suite, or with ``alone`` by its own check only."""
    checks = [mutant.check] if alone else list(contract.judged)
    found = verdicts(contract, place, lambda: mutant.build(place.transport(), contract), checks)
    others = (check for check, verdict in found.items() if verdict is Verdict.FAIL and check != mutant.check)
    return Kill(mutant.name, mutant.check, found[mutant.check], tuple(others))


def without_killer(contract: Contract, matrix: KillMatrix) -> Iterator[tuple[str, str]]:
    """Each MUST whose checks killed no mutant, and why: no check can show it, or none does so far."""
    for name, rule in contract.requirements.items():
        if rule.level != MUST or matrix.killers(rule.checks):
            continue
        if rule.no_check is not None:
            yield name, f"no check: {rule.no_check}"
        elif not any(check in contract.judged for check in rule.checks):
            yield name, f"planned: {', '.join(rule.checks)}"
        else:
            yield name, f"NO MUTANT KILLED by {', '.join(rule.checks)}"


def shortcomings(contract: Contract, matrix: KillMatrix) -> Iterator[str]:
    """One sentence for each thing that the suites fail to prove."""
    for check, verdict in matrix.control.items():
        if verdict is not Verdict.PASS:
            yield f"{check}: expected the unbroken binding to pass, got {verdict}"
    for item in matrix.kills:
        if not item.killed:
            yield f"{item.check}: expected 'fail' for the mutant {item.mutant!r}, got {item.verdict}"
    wanted = {check: len(rule.mutants) for check, rule in contract.judged.items()}
    for check, count in wanted.items():
        there = sum(item.check == check for item in matrix.kills)
        if there < count:
            yield f"{check}: expected {count} mutants as the spec lists, got {there}"
    for name, why in without_killer(contract, matrix):
        if why.startswith("NO"):
            yield f"{name}: expected a killed mutant, got none. {why}"
