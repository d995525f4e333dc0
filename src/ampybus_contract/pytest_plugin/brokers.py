"""From the words of the command line to a running broker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from ampybus_contract.brokers.location import without_credentials
from ampybus_contract.brokers.memory import MemorySource
from ampybus_contract.brokers.protocol import Broker
from ampybus_contract.contract import Contract
from ampybus_contract.errors import TargetError
from ampybus_contract.pytest_plugin.extras import missing_extra
from ampybus_contract.pytest_plugin.targets import transport_of

if TYPE_CHECKING:
    from ampybus_contract.brokers.container import ContainerServer

WORDS = (
    "memory, embedded, embedded:nats[-tls|-cluster], embedded:kafka[-tls], embedded:kafka-light, "
    "container, container:nats, container:kafka, container:redpanda, auto, "
    "nats://…, tls://…, kafka://… or kafkas://…"
)
SCHEMES = {"nats://": "nats", "tls://": "nats", "kafka://": "kafka", "kafkas://": "kafka"}
OURS = {
    "memory": "memory",
    "embedded:nats": "nats",
    "embedded:nats-tls": "nats",
    "embedded:nats-cluster": "nats",
    "embedded:kafka": "kafka",
    "embedded:kafka-tls": "kafka",
    "embedded:kafka-light": "kafka",
    "container:nats": "nats",
    "container:kafka": "kafka",
    "container:redpanda": "kafka",
    "auto:nats": "nats",
    "auto:kafka": "kafka",
}
BY_BINDING = ("embedded", "container", "auto")
OWN = ("memory", "nats", "kafka")
AUTO_PULL_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Wanted:
    """A broker as it is asked for: in one of our words, with an image where that is named, or by URL."""

    word: str
    kind: str
    image: str | None = None
    chosen: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, spec: str | None, binding: str) -> Wanted:
        """Take a ``--ampybus-broker`` apart. Raises TargetError for words that are none, or do not fit."""
        spec = spec or ("memory" if binding == "memory" else "embedded")
        word, asked, query = spec.partition("?")
        if word in BY_BINDING:
            word = f"{word}:{'kafka' if binding == 'kafka' else 'nats'}"
        for scheme, kind in SCHEMES.items():
            if spec.startswith(scheme):
                return cls(spec, kind)._fitting(binding)
        if word not in OURS:
            shown = without_credentials(spec)
            raise TargetError(f"TARGET expected {WORDS}, got {shown!r}. Fix: choose one of these")
        image = _image(query, word) if asked else None
        return cls(word, OURS[word], image)._fitting(binding)

    def _fitting(self, binding: str) -> Wanted:
        if self.kind != binding and (binding in OWN or self.kind == "memory"):
            raise TargetError(
                f"TARGET expected binding and broker that fit, got {binding!r} on "
                f"{without_credentials(self.word)!r}. Fix: the memory binding runs on the memory broker "
                "only; use --ampybus-broker embedded for others"
            )
        return self


@contextmanager
def broker(spec: str | None, binding: str, contract: Contract) -> Iterator[Broker]:
    """The broker for a run, ended with it. Raises TargetError or BrokerError with what to do.

    ``embedded``, ``container`` and ``auto`` are the server that the binding speaks to; for a binding of
    another's, NATS.
    """
    wanted = _chosen(Wanted.parse(spec, transport_of(binding)))
    if wanted.kind == "memory":
        yield MemorySource()
        return
    with (_nats if wanted.kind == "nats" else _kafka)(wanted, contract) as source:
        source.settings = {**wanted.chosen, **source.settings}
        yield source


def _image(query: str, word: str) -> str:
    found = dict(parse_qsl(query, keep_blank_values=True))
    if [*found] != ["image"] or not found["image"] or word.startswith(("memory", "embedded")):
        raise TargetError(
            f"TARGET expected container…?image=NAME:TAG or auto?image=NAME:TAG, got {word}?{query}. "
            "Fix: name an image, and nothing else"
        )
    return found["image"]


def _chosen(wanted: Wanted) -> Wanted:
    """What ``auto`` stands for here: a container where one can be had soon, else the embedded server."""
    if not wanted.word.startswith("auto:"):
        return wanted
    try:
        from ampybus_contract.brokers.container import image_for  # noqa: PLC0415  needs an extra
        from ampybus_contract.brokers.engine import NoContainerError, provide  # noqa: PLC0415
    except ModuleNotFoundError:
        return Wanted(
            f"embedded:{wanted.kind}", wanted.kind, chosen=_embedded("testcontainers is not installed")
        )
    try:
        provide(image_for(wanted.kind, wanted.image), AUTO_PULL_SECONDS)
    except NoContainerError as error:
        return Wanted(f"embedded:{wanted.kind}", wanted.kind, chosen=_embedded(error.reason))
    return Wanted(f"container:{wanted.kind}", wanted.kind, wanted.image, {"chosen by auto": "container"})


def _embedded(reason: str) -> Mapping[str, str]:
    return {"chosen by auto": f"embedded, since {reason}"}


@contextmanager
def _container(wanted: Wanted) -> Iterator[ContainerServer]:
    try:
        from ampybus_contract.brokers.container import container  # noqa: PLC0415  needs an extra
    except ModuleNotFoundError as error:
        raise missing_extra("testcontainers", "container") from error
    with container(wanted.word.removeprefix("container:"), wanted.image) as server:
        yield server


def _nats(wanted: Wanted, contract: Contract) -> AbstractContextManager[Broker]:
    try:
        from ampybus_contract.brokers import nats_source  # noqa: PLC0415  needs an extra
    except ModuleNotFoundError as error:
        raise missing_extra("nats-py", "conformance") from error
    if wanted.word.startswith("container:"):
        return nats_source.contained_nats(_container(wanted), contract)
    if wanted.word == "embedded:nats-cluster":
        return nats_source.clustered_nats(contract)
    if wanted.word in OURS:
        return nats_source.embedded_nats(contract, tls=wanted.word.endswith("-tls"))
    return nats_source.given_nats(wanted.word, contract)


def _kafka(wanted: Wanted, contract: Contract) -> AbstractContextManager[Broker]:
    try:
        from ampybus_contract.brokers import kafka_source  # noqa: PLC0415  needs an extra
    except ModuleNotFoundError as error:
        raise missing_extra("aiokafka", "kafka") from error
    if wanted.word.startswith("container:"):
        return kafka_source.contained_kafka(_container(wanted), contract)
    if wanted.word in OURS:
        light, tls = wanted.word.endswith("-light"), wanted.word.endswith("-tls")
        return kafka_source.embedded_kafka(contract, light=light, tls=tls)
    return kafka_source.given_kafka(wanted.word, contract)
