"""A real Apache Kafka starts on loopback, takes every golden, and leaves nothing behind."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ampybus_contract.brokers import kafka_distribution, kafka_server
from ampybus_contract.brokers.kafka_address import KafkaAddress
from ampybus_contract.brokers.kafka_light import light_kafka_server
from ampybus_contract.brokers.kafka_source import embedded_kafka
from ampybus_contract.brokers.kafka_stream import KafkaSource, families
from ampybus_contract.brokers.supervisor import identity
from ampybus_contract.contract import default_contract
from ampybus_contract.envelope import Envelope, read_fixture
from ampybus_contract.errors import BrokerError

CONTRACT = default_contract()
WHY_NOT = kafka_distribution.why_not()
needs_kafka = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))


def goldens(directory: Path) -> list[Envelope]:
    return [
        read_fixture(json.loads(path.read_text())).envelope
        for path in sorted(directory.glob("*/valid/*.json"))
    ]


async def cross(source: KafkaSource, sent: list[Envelope]) -> list[Envelope]:
    async with source.stream() as (_, probe):
        for envelope in sent:
            await probe.inject(envelope)
        return await probe.stored()


@pytest.mark.kafka
@needs_kafka
def test_the_server_is_gone_after_a_failure_and_its_log_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka_distribution.kafka_distribution()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(ZeroDivisionError), kafka_server.kafka_server() as server:
        assert server.version.startswith("4.")
        assert identity(server.pid) is not None
        raise ZeroDivisionError
    assert identity(server.pid) is None
    assert list(tmp_path.iterdir()) == []
    assert "Kafka Server started" in server.log.read_text()


@pytest.mark.kafka
@needs_kafka
def test_every_golden_crosses_apache_kafka_unchanged(golden: Path) -> None:
    sent = goldens(golden)
    with embedded_kafka(CONTRACT) as source:
        assert isinstance(source, KafkaSource)
        found = source.run(cross(source, sent))
    assert {item.headers["message_id"]: item for item in found} == {
        item.headers["message_id"]: item for item in sent
    }
    assert len(found) == len(sent)


@pytest.mark.kafka
def test_every_golden_crosses_the_light_server_unchanged(golden: Path) -> None:
    sent = goldens(golden)
    with light_kafka_server() as server:
        source = KafkaSource(server.url, CONTRACT, "light")
        found = source.run(cross(source, sent))
    assert sorted(found, key=str) == sorted(sent, key=str)


@pytest.mark.kafka
@needs_kafka
def test_runs_do_not_see_each_other(bars: Envelope) -> None:
    async def main(source: KafkaSource) -> tuple[int, int]:
        async with source.stream() as (one, first), source.stream() as (other, second):
            assert one.prefix != other.prefix
            await first.inject(bars)
            return len(await first.stored()), len(await second.stored())

    with embedded_kafka(CONTRACT) as source:
        assert isinstance(source, KafkaSource)
        assert source.run(main(source)) == (1, 0)


def test_every_domain_has_its_kafka_topic_in_every_environment() -> None:
    found = families(CONTRACT)
    assert len(found) == len(CONTRACT.topic.environments) * len(CONTRACT.domains)
    assert "ampy.dev.dlq.v1" in found


@pytest.mark.kafka
@needs_kafka
def test_a_taken_port_leads_to_another_try(monkeypatch: pytest.MonkeyPatch) -> None:
    with kafka_server.kafka_server() as first:
        taken = int(first.url.rpartition(":")[2])
        free = kafka_server.free_ports
        tries: list[list[int]] = []

        def ports(count: int) -> list[int]:
            client, *others = free(count)
            tries.append([client, *others])
            return [taken if len(tries) == 1 else client, *others]

        monkeypatch.setattr(kafka_server, "free_ports", ports)
        with kafka_server.kafka_server() as second:
            assert second.url != first.url
            assert len(tries) == 2


def test_without_java_the_fix_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(BrokerError, match="install a Java runtime"):
        kafka_distribution.kafka_distribution()


@pytest.mark.kafka
def test_an_old_java_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert "or newer for Apache Kafka, got '11'" in str(kafka_distribution.why_not())


@pytest.mark.kafka
@needs_kafka
def test_a_kafka_home_without_kafka_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))
    with pytest.raises(BrokerError, match="let KAFKA_HOME name an unpacked Kafka"):
        kafka_distribution.kafka_distribution()


@needs_kafka
def test_a_maven_that_fails_is_named_and_leaves_no_half_of_a_kafka(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAFKA_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{'false' if name == 'mvn' else name}")
    monkeypatch.setattr(kafka_distribution, "_java", lambda: "java")
    with pytest.raises(BrokerError, match="Maven to fetch Apache Kafka"):
        kafka_distribution.kafka_distribution()
    assert list((tmp_path / "ampybus-contract").iterdir()) == []


@pytest.fixture
def without_kafka(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("ampybus_contract.brokers.kafka_source.why_not", lambda: "no Java")
    yield


@pytest.mark.kafka
@pytest.mark.usefixtures("without_kafka")
def test_without_apache_kafka_the_light_server_steps_in_and_says_what_it_lacks() -> None:
    with embedded_kafka(CONTRACT) as source:
        assert source.name.startswith("light")
        assert isinstance(source, KafkaSource)
        assert "member_expiry" not in source.levers
        assert "stays in its group for ever" in source.gaps["member_expiry"]


@pytest.mark.usefixtures("without_kafka")
def test_without_any_kafka_both_reasons_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ampybus_contract.brokers.kafka_source.light_command", lambda: None)
    with (
        pytest.raises(BrokerError, match=r"no Java; .*ampybus-contract\[kafka-light\]"),
        embedded_kafka(CONTRACT),
    ):
        pass


def test_a_given_cluster_that_does_not_answer_is_named_without_the_password() -> None:
    (port,) = kafka_server.free_ports(1)
    source = KafkaSource(f"kafka://me:secret@127.0.0.1:{port}", CONTRACT, "Kafka")
    with pytest.raises(BrokerError, match=f"a Kafka broker at kafka://127.0.0.1:{port}") as caught:
        source.verify()
    assert "secret" not in str(caught.value)


def test_credentials_and_tls_reach_the_client() -> None:
    options = KafkaAddress.parse("kafkas://me:p%40ss@one:1,two:2").options("1.2")
    assert options["bootstrap_servers"] == ["one:1", "two:2"]
    assert options["security_protocol"] == "SASL_SSL"
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("me", "p@ss")
    assert "p@ss" not in repr(KafkaAddress.parse("kafkas://me:p%40ss@one:1"))


def test_a_url_without_a_port_is_named() -> None:
    with pytest.raises(BrokerError, match="expected kafka://host:port, got 'kafka://one'"):
        KafkaAddress.parse("kafka://me:secret@one")


@pytest.mark.kafka
@needs_kafka
def test_a_kafka_home_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "libs").mkdir()
    (tmp_path / "libs" / "kafka_2.13-4.9.9.jar").write_bytes(b"")
    found = kafka_distribution.kafka_distribution()
    assert (found.version, found.libraries) == ("4.9.9", tmp_path / "libs")


def test_a_server_that_ends_early_is_named_with_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ampybus_contract.brokers.kafka_light.light_command", lambda: shutil.which("cat"))
    with pytest.raises(BrokerError, match=r"it ended with code 1: .*cat"), light_kafka_server():
        pass


@pytest.mark.kafka
def test_the_light_server_leaves_no_process_of_its_group() -> None:
    def alive() -> list[str]:
        rows = subprocess.run(["ps", "-eo", "pgid=,stat="], capture_output=True, text=True, check=True).stdout
        found = (row.split() for row in rows.splitlines())
        return [state for group, state in found if int(group) == server.pid and state[0] != "Z"]

    with light_kafka_server() as server:
        assert len(alive()) > 1
    assert alive() == []


@pytest.mark.kafka
@needs_kafka
def test_the_settings_that_say_when_it_syncs_and_forgets_are_shown() -> None:
    with kafka_server.kafka_server(settings="log.flush.interval.messages=1\n") as server:
        source = KafkaSource(server.url, CONTRACT, "kafka")
        source.verify()
    assert source.settings["flush after messages"] == "1"
    assert source.settings["flush after ms"] == "not set"
    assert source.settings["retention ms"] == "-1"


def test_the_log_of_a_server_that_may_still_run_is_kept_however_many_newer_ones_there_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(kafka_server, "cache", lambda: tmp_path)
    ours = kafka_server.new_log()
    ours.write_text("")
    gone = subprocess.Popen(["true"])
    gone.wait()
    others = [ours.with_name(f"kafka-99991231-2359{n:02}-{gone.pid}-{n:04x}.log") for n in range(30)]
    for other in others:
        other.write_text("")
    kafka_server.new_log()
    assert ours.exists()
    assert [other.exists() for other in others] == [False] * 11 + [True] * 19
