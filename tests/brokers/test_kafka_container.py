"""Apache Kafka in a container, as the official image starts it: by Kafka's own reader of its environment.

The image is made here from the Java and the Kafka of this machine, so that no registry is needed.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker import DockerClient

from ampybus_contract.brokers import engine
from ampybus_contract.brokers.kafka_distribution import kafka_distribution, why_not

pytestmark = pytest.mark.container

SECONDS = 240.0
MODULES = (
    "java.base,java.desktop,java.logging,java.management,java.naming,java.security.jgss,java.security.sasl,"
    "java.sql,java.xml,jdk.management,jdk.unsupported"
)
LOGGING = """Configuration:
  Appenders: {Console: {name: STDOUT, PatternLayout: {pattern: "%m%n"}}}
  Loggers: {Root: {level: INFO, AppenderRef: [{ref: STDOUT}]}}
"""
START = """#!/bin/sh
set -e
/java/bin/java -cp '/kafka/*' kafka.docker.KafkaDockerWrapper setup \\
  --default-configs-dir /defaults --mounted-configs-dir /mounted --final-configs-dir /config
exec /java/bin/java -Xmx512m -cp '/kafka/*' kafka.Kafka /config/server.properties
"""
DOCKERFILE = """FROM scratch
COPY . /
ENV CLUSTER_ID=5L6g3nShT-eMCtK--X86sw
ENTRYPOINT ["/start"]
"""
WHY_NOT = why_not()


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
    if WHY_NOT is not None:
        pytest.skip(WHY_NOT)
    distribution = kafka_distribution()
    jlink = Path(os.path.realpath(distribution.java)).with_name("jlink")
    if sys.platform != "linux" or not jlink.exists() or shutil.which("ldd") is None:
        pytest.skip(f"an image is made by ldd, and by jlink of a Java development kit, none at {jlink}")
    context = tmp_path_factory.mktemp("image")
    _fill(context, jlink, distribution.libraries)
    name = f"ampybus-contract-test:{secrets.token_hex(6)}"
    client.images.build(path=str(context), tag=name, rm=True)
    yield name
    client.images.remove(name, force=True)


def _fill(context: Path, jlink: Path, libraries: Path) -> None:
    """A runtime, Kafka, a shell, and what of the system's libraries these load."""
    words = [str(jlink), "--add-modules", MODULES, "--strip-debug", "--output", str(context / "java")]
    subprocess.run(words, check=True, capture_output=True, timeout=SECONDS)
    shutil.copytree(libraries, context / "kafka")
    for directory in ("bin", "config", "defaults", "mounted", "tmp"):
        (context / directory).mkdir()
    shutil.copy("/bin/sh", context / "bin" / "sh")
    loaded = [context / "bin/sh", *(context / "java/bin").glob("java"), *_libraries(context / "java/lib")]
    listed = subprocess.run(["ldd", *loaded], check=False, capture_output=True, text=True, timeout=SECONDS)
    for found in {*re.findall(r"\s(/lib\S+)", listed.stdout)}:
        target = context / found.removeprefix("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(found, target)
    (context / "defaults" / "server.properties").touch()
    for name in ("log4j2.yaml", "tools-log4j2.yaml"):
        (context / "defaults" / name).write_text(LOGGING)
    (context / "start").write_text(START)
    (context / "start").chmod(0o755)
    (context / "Dockerfile").write_text(DOCKERFILE)


def _libraries(directory: Path) -> list[Path]:
    """Those that a server needs; what draws windows is left out."""
    names = ("libjvm.so", "libjli.so", "libjava.so", "libnet.so", "libnio.so", "libzip.so")
    return [found for name in names for found in directory.rglob(name)]


def test_the_kafka_binding_is_judged_on_a_container(client: DockerClient, image: str, tmp_path: Path) -> None:
    words = [
        "--ampybus-conformance",
        "--ampybus-binding",
        "kafka",
        "--ampybus-broker",
        f"container?image={image}",
    ]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-q",
            *words,
            "-k",
            "ENV-01 or ORD-03 or DLQ-03",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "on Apache Kafka, container (url kafka://127.0.0.1:" in done.stdout
    assert (
        "max message bytes 1048576, replicas 1, in sync at least 1, flush after messages "
        "9223372036854775807, flush after ms not set, retention ms" in done.stdout
    )
    assert f", image {image}, engine Docker" in done.stdout
    assert client.containers.list(all=True, filters={"ancestor": image}) == []
