"""What a nats-server that is not the run's own tells of the settings on which durability depends (D21)."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

import nats.errors

from ampybus_contract.brokers.nats_client import NatsClient

NOT_TOLD = "not told by the server"
ANSWER_SECONDS = 2.0
STATE = "$SYS.REQ.SERVER.{server}.JSZ"
ANY_SERVER = "PING"
NANOSECONDS = 1e9


async def durability(client: NatsClient, replicas: int) -> Mapping[str, str]:
    """How often the server syncs, and how many replicas a stream has that is asked for with so many.

    The first is told to users only that may ask the system account, and is that of the server at the other
    end. What is not told is said to be so. A stream is made for the second, and deleted.
    """
    return {"sync": await _sync(client), "replicas": await _replicas(client, replicas)}


async def _sync(client: NatsClient) -> str:
    for server in (client._server_info.get("server_id", ANY_SERVER), ANY_SERVER):
        try:
            answer = await client.request(STATE.format(server=server), timeout=ANSWER_SECONDS)
            config = json.loads(answer.data)["data"]["config"]
        except (nats.errors.Error, TimeoutError, ValueError, LookupError, TypeError):
            continue
        return _words(config)
    return NOT_TOLD


def _words(config: Mapping[str, Any]) -> str:
    if config.get("sync_always"):
        return "always"
    interval = config.get("sync_interval")
    return f"every {interval / NANOSECONDS:.12g} s" if isinstance(interval, int) else NOT_TOLD


async def _replicas(client: NatsClient, wanted: int) -> str:
    jetstream = client.jetstream(timeout=ANSWER_SECONDS)
    name = f"AMPYBUS_TRIAL_{secrets.token_hex(6)}"
    try:
        made = await jetstream.add_stream(name=name, subjects=[name], num_replicas=wanted)
        await jetstream.delete_stream(name)
    except (nats.errors.Error, TimeoutError):
        return NOT_TOLD
    return str(made.config.num_replicas or NOT_TOLD)
