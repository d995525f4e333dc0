"""Which topics there are, by a broker that may have come back a moment ago."""

from __future__ import annotations

import asyncio

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

PAUSE_SECONDS = 0.1


async def visible_topics(client: AIOKafkaClient) -> set[str]:
    """The topics that the user may see, once a broker is among those that the cluster names.

    A broker that stood still is fenced: it answers, and names none, until its controller has heard of it.
    Asks for as long as that lasts, so that the caller sets the deadline. Raises what aiokafka raises.
    """
    while True:
        try:
            cluster = await client.fetch_all_metadata()
            if client.get_random_node() is not None:
                return set(cluster.topics())
        except KafkaError as error:
            if type(error) is not KafkaError:
                raise
        await client.force_metadata_update()
        await asyncio.sleep(PAUSE_SECONDS)
