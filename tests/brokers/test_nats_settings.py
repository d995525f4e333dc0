"""What the report says of a nats-server given by URL: what it tells, and what it does not tell."""

from __future__ import annotations

import asyncio
from pathlib import Path

import nats
import pytest

from ampybus_contract.brokers.nats_cluster import SERVERS, nats_cluster
from ampybus_contract.brokers.nats_server import nats_server
from ampybus_contract.brokers.nats_settings import NOT_TOLD, durability
from ampybus_contract.brokers.nats_source import given_nats
from ampybus_contract.brokers.nats_stream import NatsSource
from ampybus_contract.contract import default_contract

pytestmark = pytest.mark.server

CONTRACT = default_contract()
SECRET = "s3cr3t-41ab"
TELLING = f"""
system_account: SYS
accounts {{
  SYS {{ exports: [{{ service: "$SYS.REQ.SERVER.>" }}] }}
  A {{
    jetstream: enabled
    users: [{{ user: a, password: {SECRET} }}]
    imports: [{{ service: {{ account: SYS, subject: "$SYS.REQ.SERVER.PING.JSZ" }} }}]
  }}
}}
"""


async def streams(url: str) -> int:
    client = await nats.connect(url, allow_reconnect=False)
    found = (await client.jetstream().account_info()).streams
    await client.close()
    return found


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (", sync_interval: always", "always"),
        (", sync_interval: 500ms", "every 0.5 s"),
        (", sync_interval: 5000000s", "every 5000000 s"),
        ("", "every 120 s"),
    ],
)
def test_a_server_that_may_be_asked_tells_how_often_it_syncs(setting: str, said: str, tmp_path: Path) -> None:
    store = f'jetstream {{ store_dir: "{tmp_path}"{setting} }}\n'
    with nats_server(jetstream=False, settings=store + TELLING) as server:
        url = server.url.replace("nats://", f"nats://a:{SECRET}@")
        with given_nats(url, CONTRACT) as broker:
            assert (broker.settings["sync"], broker.settings["replicas"]) == (said, "1")
            assert SECRET not in str(broker.settings)
        assert asyncio.run(streams(url)) == 0


def test_what_a_server_does_not_tell_is_said_to_be_so() -> None:
    with nats_server() as server, given_nats(server.url, CONTRACT) as broker:
        assert broker.settings["sync"] == NOT_TOLD == "not told by the server"
        assert broker.settings["replicas"] == "1"
        assert {"url", "version", "max payload"} <= {*broker.settings}


def test_a_user_who_may_make_no_stream_of_another_name_is_told_no_replicas() -> None:
    may = '["$JS.API.INFO", "$JS.API.STREAM.CREATE.S"]'
    users = f"authorization {{ users = [{{ user: a, password: b, permissions: {{ publish: {may} }} }}] }}\n"
    with (
        nats_server(settings=users) as server,
        given_nats(server.url.replace("nats://", "nats://a:b@"), CONTRACT) as broker,
    ):
        assert (broker.settings["sync"], broker.settings["replicas"]) == (NOT_TOLD, NOT_TOLD)


def test_the_replicas_are_those_that_a_stream_has() -> None:
    with nats_cluster() as cluster:

        async def told() -> str:
            async with NatsSource(cluster.url, "ampy", "nats")._client() as client:
                return (await durability(client, SERVERS))["replicas"]

        assert asyncio.run(told()) == str(SERVERS)


@pytest.mark.subprocess
def test_the_terminal_names_them(pytester: pytest.Pytester) -> None:
    with nats_server() as server:
        done = pytester.runpytest_subprocess(
            "--ampybus-conformance",
            "--ampybus-binding",
            "nats",
            "--ampybus-broker",
            server.url,
            "-k",
            "ENV-05",
        )
    done.stdout.fnmatch_lines([f"*on NATS JetStream (*sync {NOT_TOLD}, replicas 1*), seed *"])
    assert done.ret == 0
