"""A broker in a container of its own, from an official image or one that is named."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from docker.errors import DockerException
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

from ampybus_contract.brokers import engine
from ampybus_contract.brokers.kafka_distribution import KAFKA_VERSION
from ampybus_contract.brokers.kafka_server import CONFIG, MESSAGE_BYTES
from ampybus_contract.brokers.readiness import PortTakenError, on_a_free_port
from ampybus_contract.errors import BrokerError

PULL_SECONDS = 600
READY_SECONDS = 60
POLL_SECONDS = 0.1
SHOWN_CHARACTERS = 300
TAKEN = ("already allocated", "already in use")
NATS_PORT, KAFKA_PORT, INNER_PORT, CONTROLLER_PORT = 4222, 9092, 9094, 9093
NATS_FILE = "/ampybus.conf"
NATS_SETTINGS = f"""listen: 0.0.0.0:{NATS_PORT}
jetstream {{ store_dir: "/ampybus-jetstream", sync_interval: always }}
"""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one kind of broker is run: image, port, the words of its log when it is ready, its settings.

    ``arrange`` is given the container and the place, ``host:port``, by which clients will reach it.
    """

    name: str
    image: str
    scheme: str
    port: int
    ready: str
    settings: Mapping[str, str]
    arrange: Callable[[DockerContainer, str], object]


@dataclass(frozen=True, slots=True)
class ContainerServer:
    """A running broker: what it is, its URL, the container's id, and what a report says of it."""

    name: str
    url: str
    id: str
    settings: Mapping[str, str]


def _nats(container: DockerContainer, _place: str) -> None:
    container.with_copy_into_container(NATS_SETTINGS.encode(), NATS_FILE)
    container.with_command(["-c", NATS_FILE])


def _kafka(container: DockerContainer, place: str) -> None:
    for name, value in kafka_properties(place).items():
        container.with_env(f"KAFKA_{name.upper().replace('.', '_')}", value)


def _redpanda(container: DockerContainer, place: str) -> None:
    container.with_command(
        [
            *("redpanda", "start", "--mode", "dev-container", "--smp", "1", "--memory", "1G"),
            *("--kafka-addr", f"INNER://127.0.0.1:{INNER_PORT},CLIENT://0.0.0.0:{KAFKA_PORT}"),
            *("--advertise-kafka-addr", f"INNER://127.0.0.1:{INNER_PORT},CLIENT://{place}"),
            *("--set", "redpanda.auto_create_topics_enabled=false"),
        ]
    )


def kafka_properties(place: str) -> dict[str, str]:
    """The settings of the embedded Kafka, with listeners as a container needs them."""
    text = CONFIG.format(
        protocol="PLAINTEXT",
        client=KAFKA_PORT,
        controller=CONTROLLER_PORT,
        linked=KAFKA_PORT,
        link=KAFKA_PORT,
        data="",
        message_bytes=MESSAGE_BYTES,
    )
    properties = dict(line.split("=", 1) for line in text.splitlines())
    del properties["log.dirs"]
    inner, controller = f"INNER://127.0.0.1:{INNER_PORT}", f"CONTROLLER://127.0.0.1:{CONTROLLER_PORT}"
    return properties | {
        "listeners": f"CLIENT://0.0.0.0:{KAFKA_PORT},{inner},{controller}",
        "advertised.listeners": f"CLIENT://{place},{inner}",
        "listener.security.protocol.map": "CLIENT:PLAINTEXT,INNER:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "INNER",
    }


RECIPES = {
    "nats": Recipe(
        "NATS JetStream",
        "nats:2.12-alpine",
        "nats",
        NATS_PORT,
        "Server is ready",
        {"sync": "always", "replicas": "1"},
        _nats,
    ),
    "kafka": Recipe(
        "Apache Kafka",
        f"apache/kafka:{KAFKA_VERSION}",
        "kafka",
        KAFKA_PORT,
        "Kafka Server started",
        {},
        _kafka,
    ),
    "redpanda": Recipe(
        "Redpanda",
        "redpandadata/redpanda:v25.3.6",
        "kafka",
        KAFKA_PORT,
        "Started Kafka API server",
        {},
        _redpanda,
    ),
}


def image_for(kind: str, image: str | None) -> str:
    """The image that is named, or else the official one for that kind of broker."""
    return image or RECIPES[kind].image


def container(
    kind: str, image: str | None = None, pull_seconds: int = PULL_SECONDS
) -> AbstractContextManager[ContainerServer]:
    """Start a broker, ``nats``, ``kafka`` or ``redpanda``, and remove its container, with its data, after.

    An engine on this machine publishes its port on the loopback address only. A run that is killed leaves
    its container behind; the next start removes it. Raises BrokerError where no engine answers, the image
    cannot be had within ``pull_seconds``, or the broker ends early or is not ready within ``READY_SECONDS``.
    """
    name = image_for(kind, image)
    engine.provide(name, pull_seconds)
    return on_a_free_port(lambda: _start(RECIPES[kind], name))


@contextlib.contextmanager
def _start(recipe: Recipe, image: str) -> Iterator[ContainerServer]:
    with engine.engine() as client:
        engine.remove_orphans(client)
        version = f"{client.version()['Version']}"
    host, port = engine.host(), _free_port()
    started = _arranged(recipe, image, host, port)
    with contextlib.ExitStack() as end:
        end.callback(started.stop)
        _run(started, image)
        yield ContainerServer(
            f"{recipe.name}, container",
            f"{recipe.scheme}://{host}:{port}",
            started.get_container_id(),
            {**recipe.settings, "image": image, "engine": f"Docker {version}"},
        )


def _arranged(recipe: Recipe, image: str, host: str, port: int) -> DockerContainer:
    ready = LogMessageWaitStrategy(recipe.ready)
    ready.with_startup_timeout(READY_SECONDS).with_poll_interval(POLL_SECONDS)
    found = DockerContainer(image).waiting_for(ready)
    found.with_kwargs(labels=engine.owner_label(), network="bridge")
    published: Any = (host, port) if host == engine.LOOPBACK else port
    found.ports[f"{recipe.port}/tcp"] = published
    recipe.arrange(found, f"{host}:{port}")
    return found


def _run(started: DockerContainer, image: str) -> None:
    """Start it without the helper container that testcontainers removes others with: labels do that here."""
    before = testcontainers_config.ryuk_disabled
    testcontainers_config.ryuk_disabled = True
    try:
        started.start()
    except (DockerException, OSError, RuntimeError) as error:
        text = str(error)
        kind = PortTakenError if any(sign in text for sign in TAKEN) else BrokerError
        raise kind(
            f"BROKER expected a running broker from the image {image}, got {type(error).__name__}: "
            f"{(_said(started) or text)[-SHOWN_CHARACTERS:].strip()!r}. "
            "Fix: see that the image is of this kind of broker and can be run"
        ) from error
    finally:
        testcontainers_config.ryuk_disabled = before


def _said(started: DockerContainer) -> str:
    with contextlib.suppress(Exception):
        return b"".join(started.get_logs()).decode(errors="replace")
    return ""


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((engine.LOOPBACK, 0))
        return int(found.getsockname()[1])
