"""Brokers in containers, on a Docker engine where there is one: judged on, gone after, chosen by ``auto``."""

from __future__ import annotations

import os
import platform
import secrets
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker import DockerClient
from docker.errors import NotFound

from ampybus_contract.brokers import engine
from ampybus_contract.brokers.container import RECIPES, container, kafka_properties
from ampybus_contract.contract import default_contract
from ampybus_contract.errors import BrokerError, TargetError
from ampybus_contract.pytest_plugin.brokers import broker

SECONDS = 240.0
NOWHERE = "unix:///no/engine/here.sock"
DOCKERFILE = 'FROM scratch\nCOPY nats-server /nats-server\nENTRYPOINT ["/nats-server"]\n'
NOT_STATIC = "the nats-server of this machine is not a static Linux program, so no image can be made from it"
OWNER = """
import sys, time
from ampybus_contract.brokers.container import container
with container("nats", sys.argv[1]) as server:
    print(server.id, flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def client() -> Iterator[DockerClient]:
    """The engine, or a skip with the reason."""
    try:
        with engine.engine() as found:
            yield found
    except engine.NoContainerError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def image(client: DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image of the nats-server that the tests use anyway: no registry is needed."""
    server = Path(sysconfig.get_path("scripts")) / "nats-server"
    if platform.system() != "Linux" or b"/ld-linux" in server.read_bytes():
        pytest.skip(NOT_STATIC)
    context = tmp_path_factory.mktemp("image")
    shutil.copy(server, context / "nats-server")
    (context / "Dockerfile").write_text(DOCKERFILE)
    name = f"ampybus-contract-test:{secrets.token_hex(6)}"
    client.images.build(path=str(context), tag=name, rm=True)
    yield name
    client.images.remove(name, force=True)


def judged(directory: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-q",
        "--ampybus-conformance",
        *words,
    ]
    return subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def ours(client: DockerClient, image: str) -> list[str]:
    return [str(found.id) for found in client.containers.list(all=True, filters={"ancestor": image})]


@pytest.mark.container
def test_the_nats_binding_passes_on_a_container(client: DockerClient, image: str, tmp_path: Path) -> None:
    words = ["--ampybus-broker", f"container:nats?image={image}", "-k", "ENV or ORD or RPL or FLT-01"]
    done = judged(tmp_path, "--ampybus-binding", "nats", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "on NATS JetStream, container (url nats://" in done.stdout
    assert f"sync always, replicas 1, image {image}, engine Docker " in done.stdout
    assert ours(client, image) == []


@pytest.mark.container
def test_its_port_is_open_on_the_loopback_address_only(client: DockerClient, image: str) -> None:
    with container("nats", image) as server:
        ports = client.containers.get(server.id).attrs["NetworkSettings"]["Ports"]
    assert [place["HostIp"] for place in ports["4222/tcp"]] == ["127.0.0.1"]


@pytest.mark.container
def test_a_container_is_gone_after_a_failure(client: DockerClient, image: str) -> None:
    with pytest.raises(ZeroDivisionError), container("nats", image) as server:
        raise ZeroDivisionError
    with pytest.raises(NotFound):
        client.containers.get(server.id)


@pytest.mark.container
def test_the_next_start_removes_what_a_killed_run_left_and_nothing_else(
    client: DockerClient, image: str
) -> None:
    words = [sys.executable, "-c", OWNER, image]
    with (
        container("nats", image) as living,
        subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as owner,
    ):
        assert owner.stdout is not None
        left = owner.stdout.readline().strip()
        owner.kill()
        owner.wait()
        assert client.containers.get(left).status == "running"
        with container("nats", image):
            with pytest.raises(NotFound):
                client.containers.get(left)
            assert client.containers.get(living.id).status == "running"


@pytest.mark.container
def test_what_another_machine_runs_on_the_same_engine_is_left_alone(
    client: DockerClient, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(platform, "node", lambda: "another-machine")
        elsewhere.setattr(os, "getpid", lambda: 2**22 + 1)
        label = engine.owner_label()
    foreign = client.containers.create(image, ["--version"], labels=label)
    try:
        assert engine.remove_orphans(client) == []
    finally:
        foreign.remove(force=True)


@pytest.mark.container
def test_a_server_that_is_not_what_it_was_called_is_named(client: DockerClient, image: str) -> None:
    with pytest.raises(BrokerError, match=r"unrecognized command.*Fix: see that the image is of this kind"):
        container("redpanda", image).__enter__()
    assert ours(client, image) == []


@pytest.mark.container
def test_an_image_that_cannot_be_had_is_named_with_a_fix(
    client: DockerClient, image: str, tmp_path: Path
) -> None:
    absent = f"{image}-no-such"
    words = ["--ampybus-binding", "nats", "--ampybus-broker", f"container?image={absent}", "-k", "ENV-01"]
    done = judged(tmp_path, *words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"BROKER expected the image {absent}" in done.stdout + done.stderr
    assert f"Fix: 'docker pull {absent}'" in done.stdout + done.stderr


@pytest.mark.container
def test_auto_takes_a_container_where_its_image_is_at_hand(image: str, tmp_path: Path) -> None:
    words = ["--ampybus-binding", "nats", "--ampybus-broker", f"auto?image={image}", "-k", "ENV-01"]
    done = judged(tmp_path, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "on NATS JetStream, container (chosen by auto container, " in done.stdout


@pytest.mark.container
def test_auto_embeds_a_server_where_the_image_cannot_be_had(
    client: DockerClient, image: str, tmp_path: Path
) -> None:
    absent = f"{image}-no-such"
    words = ["--ampybus-binding", "nats", "--ampybus-broker", f"auto?image={absent}", "-k", "ENV-01"]
    done = judged(tmp_path, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"embedded (chosen by auto embedded, since the image {absent} is not on the engine" in done.stdout


@pytest.mark.subprocess
def test_auto_embeds_a_server_where_no_engine_answers(tmp_path: Path) -> None:
    words = ["--ampybus-binding", "nats", "--ampybus-broker", "auto", "-k", "ENV-01"]
    done = judged(tmp_path, *words, DOCKER_HOST=NOWHERE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        "on NATS JetStream, embedded (chosen by auto embedded, since no container engine answers, "
        in done.stdout
    )


@pytest.mark.subprocess
def test_no_engine_is_named_with_a_fix(tmp_path: Path) -> None:
    words = ["--ampybus-binding", "nats", "--ampybus-broker", "container", "-k", "ENV-01"]
    done = judged(tmp_path, *words, DOCKER_HOST=NOWHERE)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "BROKER expected a container engine" in done.stdout + done.stderr
    assert "Fix: start Docker or set DOCKER_HOST" in done.stdout + done.stderr


@pytest.mark.server
def test_without_testcontainers_auto_embeds_a_server_and_container_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ampybus_contract.brokers.container", None)
    with broker("auto", "nats", default_contract()) as chosen:
        assert chosen.settings["chosen by auto"] == "embedded, since testcontainers is not installed"
    with (
        pytest.raises(TargetError, match=r"pip install 'ampybus-contract\[container\]'"),
        broker("container", "nats", default_contract()),
    ):
        pass


@pytest.mark.parametrize(
    ("spec", "binding"),
    [
        ("container:kafka", "nats"),
        ("container:redpanda", "nats"),
        ("container:nats", "kafka"),
        ("auto:kafka", "nats"),
        ("container", "memory"),
        ("auto", "memory"),
    ],
)
def test_a_binding_on_a_container_of_another_kind_is_refused(spec: str, binding: str) -> None:
    with (
        pytest.raises(TargetError, match="binding and broker that fit"),
        broker(spec, binding, default_contract()),
    ):
        pass


@pytest.mark.parametrize("spec", ["container?", "container?img=x", "container?image=", "embedded?image=x"])
def test_words_after_a_broker_that_mean_nothing_are_refused(spec: str) -> None:
    with pytest.raises(TargetError, match="Fix: "), broker(spec, "nats", default_contract()):
        pass


def test_clients_are_sent_to_the_published_port_and_the_broker_to_itself() -> None:
    properties = kafka_properties("127.0.0.1:50123")
    assert properties["advertised.listeners"] == "CLIENT://127.0.0.1:50123,INNER://127.0.0.1:9094"
    assert properties["inter.broker.listener.name"] == "INNER"
    assert properties["auto.create.topics.enable"] == "false"
    assert {kind: recipe.image.partition(":")[0] for kind, recipe in RECIPES.items()} == {
        "nats": "nats",
        "kafka": "apache/kafka",
        "redpanda": "redpandadata/redpanda",
    }


@pytest.mark.parametrize(
    ("variable", "reached"),
    [
        ("unix:///var/run/docker.sock", "127.0.0.1"),
        ("", "127.0.0.1"),
        ("tcp://engine.test:2375", "engine.test"),
    ],
)
def test_ports_are_reached_where_the_engine_is(
    variable: str, reached: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", variable)
    assert engine.host() == reached
