"""The partitions there are, each with the identity of its topic: one that is made again is another topic.

aiokafka's own metadata have no identities (KIP-516), so that this asks for a newer version of them.
"""

from __future__ import annotations

import random
import re
from io import BytesIO
from uuid import UUID

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, NodeNotReadyError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.metadata import MetadataRequest, MetadataRequestStruct
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

METADATA = 3
WITH_IDENTITIES = 10


class Identity(AbstractType[bytes]):  # type: ignore[misc]
    """A UUID, as it is on the wire."""

    @classmethod
    def encode(cls, value: bytes) -> bytes:
        """As it is."""
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        """Its 16 bytes."""
        return data.read(16)


class IdentifiedTopics(Response):  # type: ignore[misc]
    """The answer with identities."""

    API_KEY = METADATA
    API_VERSION = WITH_IDENTITIES
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString()),
                ("port", Int32),
                ("rack", CompactString()),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString()),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("topic", CompactString()),
                ("identity", Identity),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("operations", Int32),
        ("tags", TaggedFields),
    )


class AskWithIdentities(RequestStruct):  # type: ignore[misc]
    """The question for identities."""

    API_KEY = METADATA
    API_VERSION = WITH_IDENTITIES
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = IdentifiedTopics
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("identity", Identity), ("name", CompactString()), ("tags", TaggedFields)),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("cluster_operations", Boolean),
        ("topic_operations", Boolean),
        ("tags", TaggedFields),
    )


class AllTopics(Request[MetadataRequestStruct | AskWithIdentities]):  # type: ignore[misc]
    """The question for all topics, of a broker without identities too."""

    API_KEY = METADATA

    def build(self, kind: type[RequestStruct]) -> RequestStruct:
        """In the newest version that the broker understands."""
        if kind is AskWithIdentities:
            return kind(None, False, False, False, {})
        return MetadataRequest(None, False).build(kind)


async def visible_parts(client: AIOKafkaClient, wanted: re.Pattern[str]) -> dict[TopicPartition, str]:
    """The partitions of the wanted topics that the user may see, each with its name as a part of the stream.

    Topics that are in trouble for the moment may be missing. Raises what aiokafka raises, also where the
    broker names no broker: it is fenced, and knows nothing yet.
    """
    answer = (await _asked(client)).to_object()
    if not answer["brokers"]:
        raise NodeNotReadyError("a broker that is fenced")
    found = {}
    for topic in answer["topics"]:
        if topic["error_code"] == 0 and wanted.fullmatch(topic["topic"]):
            identity = f"@{UUID(bytes=topic['identity'])}" if "identity" in topic else ""
            for item in topic["partitions"]:
                place = TopicPartition(topic["topic"], item["partition"])
                found[place] = f"{place.topic}/{place.partition}{identity}"
    return dict(sorted(found.items()))


async def _asked(client: AIOKafkaClient) -> Response:
    """The answer of the first broker that gives one."""
    nodes = [broker.nodeId for broker in client.cluster.brokers()]
    random.shuffle(nodes)
    failure: KafkaError = NodeNotReadyError("no broker known")
    for node in nodes:
        try:
            return await client.send(node, AllTopics())
        except KafkaError as error:
            failure = error
    raise failure
