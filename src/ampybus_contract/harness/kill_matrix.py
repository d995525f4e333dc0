"""Which check fails for which mutant: the proof that the suites can fail, as a value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial

from ampybus_contract.bindings.memory import MemoryTransport
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.transport import Transport
from ampybus_contract.brokers.memory import MemorySource
from ampybus_contract.brokers.protocol import Broker
from ampybus_contract.contract import Contract
from ampybus_contract.harness.breadth import Breadth
from ampybus_contract.harness.judge import PATIENCE_SECONDS, Judge, whole
from ampybus_contract.harness.mutants import Mutant, mutants
from ampybus_contract.harness.mutants.build import Build
from ampybus_contract.harness.schedules import EFFORTS, Scenario, Scheduled
from ampybus_contract.harness.suites import suites
from ampybus_contract.harness.verdicts import Verdict

SEED = 1
REAL_PATIENCE_SECONDS = 1.0
RECOVERY_SECONDS = 8
BOMB_SHARE = 16
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
    """Where mutants are judged: a broker, the transport that speaks to it, and the patience in seconds.

    ``beyond`` opens another ground for the checks that this broker cannot show.
    """

    broker: Broker
    transport: type[Transport]
    patience: float
    beyond: Callable[[], Ground] | None = None

    def shows(self, check: str, contract: Contract) -> bool:
        """Whether the broker has what a check needs."""
        return not contract.checks[check].lacks(getattr(self.broker, "levers", frozenset()))

    def where(self, check: str, contract: Contract) -> Ground:
        """This ground or, where it cannot show a check, the first one beyond that can or is the last."""
        if self.beyond is None or self.shows(check, contract):
            return self
        return self.beyond().where(check, contract)


@contextmanager
def _memory(contract: Contract) -> Iterator[Ground]:
    with _at_need(partial(_nats, contract)) as beyond:
        yield Ground(MemorySource(), MemoryTransport, PATIENCE_SECONDS, beyond)


@contextmanager
def _nats(contract: Contract, tls: bool = False) -> Iterator[Ground]:
    from ampybus_contract.bindings.nats import NatsTransport  # noqa: PLC0415  needs an extra
    from ampybus_contract.brokers.nats_server import nats_server  # noqa: PLC0415  needs an extra
    from ampybus_contract.brokers.nats_stream import NatsSource  # noqa: PLC0415  needs an extra

    further = partial(_kafka, contract) if tls else partial(_nats, contract, True)
    with nats_server(tls=tls) as server, _at_need(further) as beyond:
        files = None if server.certificates is None else server.certificates.files
        minimum = contract.security.tls_minimum
        source = NatsSource(server.url, contract.topic.prefix, "nats", files, minimum, server)
        source.verify()
        yield Ground(source, NatsTransport, REAL_PATIENCE_SECONDS, beyond)


@contextmanager
def _kafka(contract: Contract) -> Iterator[Ground]:
    from ampybus_contract.bindings.kafka import KafkaTransport  # noqa: PLC0415  needs an extra
    from ampybus_contract.brokers.kafka_source import embedded_kafka  # noqa: PLC0415  needs an extra

    with embedded_kafka(contract, light=True) as source:
        yield Ground(source, KafkaTransport, REAL_PATIENCE_SECONDS)


@contextmanager
def _at_need(opened: Callable[[], AbstractContextManager[Ground]]) -> Iterator[Callable[[], Ground]]:
    """What opens a ground when it is first asked for."""
    with ExitStack() as stack:

        @cache
        def beyond() -> Ground:
            return stack.enter_context(opened())

        yield beyond


GROUNDS: Mapping[str, Callable[[Contract], AbstractContextManager[Ground]]] = {
    "memory": _memory,
    "nats": _nats,
}


@cache
def impatient(contract: Contract) -> Contract:
    """The contract with a recovery time in which a mutant that does not recover shows soon, and small bombs.

    Binding and judge have both by the same one. It is the same each time, as much is derived from a contract
    once.
    """
    levels = replace(contract.service_levels, recovery_time_seconds=RECOVERY_SECONDS)
    payload = replace(contract.payload, decoded_at_most=contract.payload.decoded_at_most // BOMB_SHARE)
    return replace(contract, service_levels=levels, payload=payload)


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
    contract: Contract,
    place: Ground,
    build: Build,
    checks: Sequence[str],
    others: Mapping[str, Scenario | Scheduled] | None = None,
    own: str = "",
) -> dict[str, Verdict]:
    """The verdict of each of the checks on a binding, which is built for the ground of each.

    ``others`` are scenarios that take the place of those of the suites. Where one check is the binding's
    ``own``, the others play few of the contract's lists, and fail for what they themselves ask only.
    """
    found = {}
    quick = impatient(contract)
    for check in checks:
        there = place.where(check, contract)
        factory = partial(_built, build, there, quick)
        effort = EFFORTS["default"]
        if own not in ("", check):
            effort = replace(effort, breadth=Breadth.FEW)
        judge = Judge(quick, there.broker, factory, SEED, patience=there.patience, effort=effort)
        scenario = (others or {}).get(check, suites()[check].scenario)
        result = judge.judge(check, scenario, suites()[check].checkers)
        found[check] = (whole(result) if own in ("", check) else result).verdict
    return found


def _built(build: Build, place: Ground, contract: Contract) -> ReferenceBinding:
    return build(place.transport(), contract)


def control(contract: Contract, place: Ground) -> dict[str, Verdict]:
    """The verdicts on the unbroken binding."""
    return verdicts(contract, place, ReferenceBinding, list(contract.judged))


def kill(contract: Contract, place: Ground, mutant: Mutant, alone: bool = False) -> Kill:
    """Judge a mutant by its own check and by all that the ground shows, or with ``alone`` by its own only."""
    checks = [check for check in contract.judged if place.shows(check, contract) and not alone]
    other: dict[str, Scenario | Scheduled] = (
        {} if mutant.scenario is None else {mutant.check: mutant.scenario}
    )
    asked = list(dict.fromkeys([*checks, mutant.check]))
    found = verdicts(contract, place, mutant.build, asked, other, own=mutant.check)
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
