"""From the words of the command line to a running broker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from ampybus_contract.brokers.location import Location, without_credentials
from ampybus_contract.brokers.memory import MemorySource
from ampybus_contract.brokers.protocol import Broker
from ampybus_contract.contract import Contract
from ampybus_contract.errors import TargetError
from ampybus_contract.pytest_plugin.extras import missing_extra

WORDS = (
    "memory, embedded, embedded:nats[-tls], embedded:kafka[-tls], embedded:kafka-light, "
    "nats://…, tls://…, kafka://… or kafkas://…"
)
SCHEMES = {"nats://": "nats", "tls://": "nats", "kafka://": "kafka", "kafkas://": "kafka"}
EMBEDDED = {
    "embedded:nats": "nats",
    "embedded:nats-tls": "nats",
    "embedded:kafka": "kafka",
    "embedded:kafka-tls": "kafka",
    "embedded:kafka-light": "kafka",
}
OWN = ("memory", "nats", "kafka")


@contextmanager
def broker(spec: str | None, binding: str, contract: Contract) -> Iterator[Broker]:
    """The broker for a run, ended with it. Raises TargetError or BrokerError with what to do.

    ``embedded`` is the server that the binding speaks to; for a binding of another's, NATS.
    """
    spec = spec or ("memory" if binding == "memory" else "embedded")
    if spec == "embedded":
        spec = "embedded:kafka" if binding == "kafka" else "embedded:nats"
    kind = _kind(spec)
    if kind != binding and (binding in OWN or kind == "memory"):
        raise TargetError(
            f"TARGET expected binding and broker that fit, got {binding!r} on "
            f"{without_credentials(spec)!r}. Fix: the memory binding runs on the memory broker only; "
            "use --ampybus-broker embedded for others"
        )
    if kind == "memory":
        yield MemorySource()
        return
    with (_nats if kind == "nats" else _kafka)(spec, contract) as source:
        yield source


def _kind(spec: str) -> str:
    if spec == "memory":
        return spec
    if spec in EMBEDDED:
        return EMBEDDED[spec]
    for scheme, kind in SCHEMES.items():
        if spec.startswith(scheme):
            return kind
    raise TargetError(f"TARGET expected {WORDS}, got {without_credentials(spec)!r}. Fix: choose one of these")


@contextmanager
def _nats(spec: str, contract: Contract) -> Iterator[Broker]:
    try:
        from ampybus_contract.brokers.nats_server import nats_server  # noqa: PLC0415  needs an extra
        from ampybus_contract.brokers.nats_stream import NatsSource  # noqa: PLC0415  needs an extra
    except ModuleNotFoundError as error:
        raise missing_extra("nats-py", "conformance") from error
    minimum = contract.security.tls_minimum
    if spec not in EMBEDDED:
        given = Location.parse(spec)
        source = NatsSource(given.url, contract.topic.prefix, "NATS JetStream", given.tls, minimum)
        source.verify()
        yield source
        return
    with nats_server(tls=spec == "embedded:nats-tls") as server:
        name, own = "NATS JetStream, embedded", server.certificates
        files, renew = (None, None) if own is None else (own.files, server.renew_certificates)
        source = NatsSource(server.url, contract.topic.prefix, name, files, minimum, renew)
        source.verify()
        source.settings = {**source.settings, "sync": "always", "replicas": "1"}
        yield source


def _kafka(spec: str, contract: Contract) -> AbstractContextManager[Broker]:
    try:
        from ampybus_contract.brokers.kafka_source import embedded_kafka, given_kafka  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise missing_extra("aiokafka", "kafka") from error
    if spec in EMBEDDED:
        return embedded_kafka(contract, light=spec.endswith("-light"), tls=spec.endswith("-tls"))
    return given_kafka(spec, contract)
