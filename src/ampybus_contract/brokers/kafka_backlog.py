"""What consumer groups on Kafka have left to do, as the cluster tells."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocol

ERROR, GROUP, MEMBERS, ASSIGNMENT = 0, 1, 5, 4


async def backlog(admin: AIOKafkaAdminClient, prefix: str, ends: Mapping[TopicPartition, int]) -> int:
    """Records that the groups of a prefix have not committed, given the ends of all partitions.

    A group reads the topics that its members were assigned and those it committed in; one that has no members
    and committed nothing yet may read all. Raises what aiokafka raises.
    """
    found = 0
    for group, _kind in await admin.list_consumer_groups():
        if group.startswith(prefix):
            committed = {
                place: offset.offset
                for place, offset in (await admin.list_consumer_group_offsets(group)).items()
            }
            topics = {place.topic for place in committed} | await _assigned(admin, group)
            found += _left(committed, topics, ends)
    return found


async def _assigned(admin: AIOKafkaAdminClient, group: str) -> set[str]:
    """The topics that members of a group read."""
    (answer,) = await admin.describe_consumer_groups([group])
    members = [member for description in answer.groups for member in description[MEMBERS]]
    assignments = [
        ConsumerProtocol.ASSIGNMENT.decode(member[ASSIGNMENT]) for member in members if member[ASSIGNMENT]
    ]
    return {place.topic for assignment in assignments for place in assignment.partitions()}


def _left(
    committed: Mapping[TopicPartition, int], topics: Collection[str], ends: Mapping[TopicPartition, int]
) -> int:
    read = [place for place in ends if not topics or place.topic in topics]
    return sum(ends[place] - committed.get(place, 0) for place in read)
