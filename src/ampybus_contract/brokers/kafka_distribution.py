"""Where Apache Kafka comes from: a ``KAFKA_HOME``, or its Maven artifacts, kept in a user cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ampybus_contract.errors import BrokerError

KAFKA_VERSION = "4.3.1"
SLF4J_VERSION = "1.7.36"
JAVA_AT_LEAST = 17
RESOLVE_SECONDS = 900.0
POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>ampybus-contract</groupId><artifactId>embedded-kafka</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{kafka}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>{slf4j}</version>
    </dependency>
  </dependencies>
</project>
"""


@dataclass(frozen=True, slots=True)
class KafkaDistribution:
    """Apache Kafka on this machine: the java command, the jars, and its version."""

    java: str
    libraries: Path
    version: str
    logging: Path | None = None

    def command(self, directory: Path, main: str, *arguments: str) -> list[str]:
        """The words that run one of Kafka's programs; small heap and quick start before peak speed.

        Log files that a ``KAFKA_HOME`` is configured to write go to ``directory``.
        """
        logging = [] if self.logging is None else [f"-Dlog4j2.configurationFile={self.logging}"]
        return [
            self.java,
            *logging,
            f"-Dkafka.logs.dir={directory}",
            "-Xms128m",
            "-Xmx512m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-cp",
            str(self.libraries / "*"),
            main,
            *arguments,
        ]


def kafka_distribution() -> KafkaDistribution:
    """Apache Kafka from ``KAFKA_HOME``, else from the cache, else through Maven, which is heard on stderr.

    Raises BrokerError with what is missing.
    """
    java = _java()
    home = os.environ.get("KAFKA_HOME")
    if home:
        libraries, logging = Path(home) / "libs", Path(home) / "config" / "log4j2.yaml"
        version = _version(libraries, "KAFKA_HOME")
        return KafkaDistribution(java, libraries, version, logging if logging.exists() else None)
    libraries = cache() / f"kafka-{KAFKA_VERSION}"
    if not libraries.exists():
        _resolve(libraries)
    return KafkaDistribution(java, libraries, _version(libraries, str(libraries)))


def cache() -> Path:
    """The directory for what is fetched once per user."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ampybus-contract"


def why_not() -> str | None:
    """Why Apache Kafka cannot run here, or None where it can. Fetches nothing."""
    try:
        _java()
    except BrokerError as error:
        return str(error)
    known = os.environ.get("KAFKA_HOME") or (cache() / f"kafka-{KAFKA_VERSION}").exists()
    return None if known or shutil.which("mvn") else _no_maven()


def _java() -> str:
    home = os.environ.get("JAVA_HOME")
    beside = Path(home) / "bin" / "java" if home else None
    java = str(beside) if beside is not None and beside.exists() else shutil.which("java")
    if java is None:
        raise BrokerError(
            f"BROKER expected Java {JAVA_AT_LEAST} or newer for Apache Kafka, found none. "
            "Fix: install a Java runtime, or give a broker with --ampybus-broker kafka://host:port"
        )
    found = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, timeout=60)
    version = re.search(r'version "(\d+)', found.stderr)
    if version is None or int(version[1]) < JAVA_AT_LEAST:
        got = version[1] if version else found.stderr.strip()[:80]
        raise BrokerError(
            f"BROKER expected Java {JAVA_AT_LEAST} or newer for Apache Kafka, got {got!r} at {java}. "
            "Fix: let JAVA_HOME name a newer one"
        )
    return java


def _version(libraries: Path, where: str) -> str:
    for jar in libraries.glob("kafka_2.13-*.jar"):
        version = jar.name.removeprefix("kafka_2.13-").removesuffix(".jar")
        if re.fullmatch(r"[\d.]+", version):
            if int(version.partition(".")[0]) < 4:
                raise BrokerError(f"BROKER expected Apache Kafka 4 or newer, got {version} in {where}")
            return version
    raise BrokerError(
        f"BROKER expected kafka_2.13-*.jar in {libraries}, found none. "
        f"Fix: let KAFKA_HOME name an unpacked Kafka, or remove {libraries}"
    )


def _resolve(libraries: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise BrokerError(_no_maven())
    libraries.parent.mkdir(parents=True, exist_ok=True)
    print(
        f"ampybus: fetching Apache Kafka {KAFKA_VERSION} with Maven, once, into {libraries}", file=sys.stderr
    )
    with tempfile.TemporaryDirectory(dir=libraries.parent, prefix="resolving-") as name:
        pom, jars = Path(name) / "pom.xml", Path(name) / "jars"
        pom.write_text(POM.format(kafka=KAFKA_VERSION, slf4j=SLF4J_VERSION))
        command = [maven, "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={jars}"]
        try:
            code = subprocess.run(
                [*command, "-DincludeScope=runtime"],
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr.fileno(),
                check=False,
                timeout=RESOLVE_SECONDS,
            ).returncode
        except subprocess.TimeoutExpired as error:
            raise BrokerError(
                f"BROKER expected Maven to end within {RESOLVE_SECONDS:g} s. Fix: try again"
            ) from (error)
        if code != 0 or not jars.exists():
            raise BrokerError(
                f"BROKER expected Maven to fetch Apache Kafka {KAFKA_VERSION}, it ended with code {code}. "
                "Fix: see its words above; or let KAFKA_HOME name an unpacked Kafka"
            )
        try:
            jars.rename(libraries)
        except OSError:
            if not libraries.exists():
                raise


def _no_maven() -> str:
    return (
        "BROKER expected KAFKA_HOME or Maven (mvn) to get Apache Kafka, found neither. "
        "Fix: let KAFKA_HOME name an unpacked Kafka 4, or install Maven"
    )


if __name__ == "__main__":
    try:
        found = kafka_distribution()
    except BrokerError as error:
        sys.exit(str(error))
    print(f"Apache Kafka {found.version} in {found.libraries}")
