"""A container engine that speaks Docker's API: whether it answers, its images, and what we left on it."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import socket
import sys
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from docker import DockerClient
from docker.errors import DockerException, ImageNotFound, NotFound
from docker.utils import parse_repository_tag
from testcontainers.core.config import testcontainers_config
from testcontainers.core.docker_client import DockerClient as ConfiguredClient
from testcontainers.core.docker_client import get_docker_host

from ampybus_contract.brokers import supervisor
from ampybus_contract.errors import BrokerError

ANSWER_SECONDS = 10
WORK_SECONDS = 60
OWNER = "ampybus-contract.owner"
LOOPBACK = "127.0.0.1"
UNIX = "unix://"
USUAL = "unix:///var/run/docker.sock"


class NoContainerError(BrokerError):
    """A container cannot be had here; ``reason`` says why in a few words."""

    def __init__(self, expected: str, reason: str, fix: str) -> None:
        super().__init__(f"BROKER expected {expected}, {reason}. Fix: {fix}")
        self.reason = reason


@contextlib.contextmanager
def engine(seconds: int = WORK_SECONDS) -> Iterator[DockerClient]:
    """A client of the engine that DOCKER_HOST, the current context or the usual socket names.

    Each of its calls takes at most that many seconds. Raises NoContainerError where the engine does not
    answer within ``ANSWER_SECONDS``.
    """
    try:
        _knock()
        client = ConfiguredClient(timeout=ANSWER_SECONDS).client
        client.ping()
    except (DockerException, OSError) as error:
        raise NoContainerError(
            "a container engine",
            "no container engine answers",
            f"start Docker or set DOCKER_HOST, or use --ampybus-broker embedded ({type(error).__name__})",
        ) from error
    with contextlib.closing(client):
        client.api.timeout = seconds
        yield client


def _knock() -> None:
    """Connect to the engine's socket once: docker's client does not close one that it cannot connect."""
    address = get_docker_host() or USUAL
    if address.startswith(UNIX) and sys.platform != "win32":
        with socket.socket(socket.AF_UNIX) as end:
            end.settimeout(ANSWER_SECONDS)
            end.connect(address.removeprefix(UNIX))


def host() -> str:
    """Where the ports of containers are reached.

    The host of an engine that is reached by network, else this machine's loopback address.
    ``TESTCONTAINERS_HOST_OVERRIDE`` names another, for a run inside a container beside which others start.
    """
    if testcontainers_config.tc_host_override:
        return testcontainers_config.tc_host_override
    parts = urlsplit(os.environ.get("DOCKER_HOST", ""))
    return (parts.hostname or LOOPBACK) if parts.scheme in ("tcp", "http", "https", "ssh") else LOOPBACK


def full_name(image: str) -> str:
    """The image's name with the prefix that ``TESTCONTAINERS_HUB_IMAGE_NAME_PREFIX`` sets."""
    return f"{testcontainers_config.hub_image_name_prefix}{image}"


def provide(image: str, seconds: int) -> None:
    """See that an image is on the engine; where it is not, pull it, for at most that many seconds.

    Raises NoContainerError where no engine answers, or the image is neither there nor to be pulled in time.
    """
    name = full_name(image)
    with engine(seconds) as client:
        try:
            client.images.get(name)
            return
        except ImageNotFound:
            print(f"ampybus: pulling the image {name}, once", file=sys.stderr)
        try:
            _pull(client, name, time.monotonic() + seconds)
            client.images.get(name)
        except (DockerException, OSError) as error:
            raise NoContainerError(
                f"the image {name}",
                f"the image {name} is not on the engine and could not be pulled",
                f"'docker pull {name}', or name one that is there with ?image=NAME:TAG "
                f"({type(error).__name__}: {str(error)[:200]})",
            ) from error


def _pull(client: DockerClient, name: str, deadline: float) -> None:
    repository, tag = parse_repository_tag(name)
    for said in client.api.pull(repository, tag or "latest", stream=True, decode=True):
        if "error" in said:
            raise OSError(said["error"])
        if time.monotonic() > deadline:
            raise TimeoutError("it took too long")


def owner_label() -> dict[str, str]:
    """Tells from which process a container is, so that others can see when that one is gone."""
    owner = {"host": platform.node(), "pid": os.getpid(), "started": supervisor.identity(os.getpid())}
    return {OWNER: json.dumps(owner)}


def remove_orphans(client: DockerClient) -> list[str]:
    """Remove the containers of runs on this machine whose process is gone; gives their ids."""
    removed = []
    for container in client.containers.list(all=True, filters={"label": OWNER}, ignore_removed=True):
        owner = json.loads(container.labels[OWNER])
        if owner["host"] != platform.node() or supervisor.identity(owner["pid"]) == owner["started"]:
            continue
        with contextlib.suppress(NotFound):
            container.remove(force=True, v=True)
            removed.append(str(container.id))
    return removed
