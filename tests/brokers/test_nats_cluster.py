"""Three servers on loopback that hold a stream together: a killed leader is followed by another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ampybus_contract import Envelope
from ampybus_contract.brokers.levers import Leads
from ampybus_contract.brokers.nats_cluster import SERVERS, nats_cluster
from ampybus_contract.brokers.nats_cluster_stream import NatsClusterProbe, NatsClusterSource
from ampybus_contract.brokers.nats_source import clustered_nats
from ampybus_contract.contract import default_contract

pytestmark = pytest.mark.server

PREFIX = default_contract().topic.prefix


@pytest.fixture(scope="module")
def source() -> Iterator[NatsClusterSource]:
    with nats_cluster() as cluster:
        yield NatsClusterSource(cluster, PREFIX, "cluster")


def test_a_killed_leader_is_followed_by_another_and_what_was_acknowledged_is_there(
    source: NatsClusterSource, bars: Envelope
) -> None:
    async def scene() -> None:
        async with source.stream() as (_endpoint, probe):
            assert isinstance(probe, NatsClusterProbe)
            await probe.inject(bars)
            old = await probe.leader()
            before = source.cluster.servers[old].pid
            await probe.change_leader()
            assert await probe.leader() != old
            assert source.cluster.servers[old].pid != before
            assert await probe.stored() == [bars]
            await probe.inject(bars)

    source.run(scene())


def test_a_binding_is_told_the_address_of_the_leader_and_each_stream_has_all_replicas(
    source: NatsClusterSource,
) -> None:
    async def scene() -> None:
        async with source.stream() as (endpoint, probe):
            assert isinstance(probe, Leads)
            assert isinstance(probe, NatsClusterProbe)
            assert endpoint.url == source.cluster.servers[await probe.leader()].url
            state = (await probe.jetstream.stream_info(probe.stream)).cluster
            assert state is not None
            assert len(state.replicas or ()) == SERVERS - 1

    source.run(scene())


def test_processes_and_files_are_gone_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with nats_cluster() as cluster:
        pids = [server.pid for server in cluster.servers.values()]
    assert len(set(pids)) == SERVERS
    assert list(tmp_path.iterdir()) == []
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_run_on_it_says_what_it_is() -> None:
    with clustered_nats(default_contract()) as broker:
        assert broker.name == "NATS JetStream, embedded cluster"
        assert broker.settings["replicas"] == str(SERVERS)
