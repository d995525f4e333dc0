"""Whether a user may read, asked before it joins a group: aiokafka tells it in the background only.

A heartbeat of no member and a fetch behind all ends are refused for what they are, and change nothing; that
the user may not is said first.
"""

from __future__ import annotations

from collections.abc import Iterable

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import GroupAuthorizationFailedError, TopicAuthorizationFailedError, for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import HeartbeatRequest

from ampybus_contract.errors import BrokerError

BEYOND = 2**62
SHOWN = 5


async def see_readable(client: AIOKafkaClient, group: str, topics: Iterable[str]) -> None:
    """Return where the user may read a group and topics, else raise BrokerError with what it may not.

    Raises what aiokafka raises where the brokers do not answer.
    """
    answer = await client.send(client.get_random_node(), HeartbeatRequest(group, 0, ""))
    if for_code(answer.error_code) is GroupAuthorizationFailedError:
        raise _not_allowed("group", [group])
    wish = [(topic, [(0, BEYOND, 1)]) for topic in sorted(topics)]
    found = await client.send(client.get_random_node(), FetchRequest(0, 0, 1, 0, wish))
    refused = [
        topic
        for topic, partitions in found.topics
        if for_code(partitions[0][1]) is TopicAuthorizationFailedError
    ]
    if refused:
        raise _not_allowed("topic", refused)


def _not_allowed(kind: str, names: list[str]) -> BrokerError:
    shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
    return BrokerError(
        f"BROKER expected a user who may read the Kafka {kind} {shown}, got a refusal. Fix: let it, for "
        f"each: kafka-acls --add --allow-principal User:NAME --operation Read --{kind} NAME"
    )
