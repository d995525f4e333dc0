"""The end of aiokafka's clients within a deadline; what does not end by itself is cut off."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

CUT_SECONDS = 2.0


async def end_producer(producer: AIOKafkaProducer, seconds: float) -> None:
    """Flush and stop; an idempotent producer would try for ever, so that it is cut off after a while."""
    if not await _within(seconds, producer.stop):
        await _within(CUT_SECONDS, producer._sender.close)
        await _within(CUT_SECONDS, producer.client.close)


async def end_consumer(consumer: AIOKafkaConsumer, seconds: float) -> None:
    """Leave the group and stop; a group in the middle of a rebalance is left without a word after a while."""
    if not await _within(seconds, consumer.stop):
        if consumer._fetcher is not None:
            await _within(CUT_SECONDS, consumer._fetcher.close)
        await _within(CUT_SECONDS, consumer._client.close)


@contextlib.asynccontextmanager
async def ended_on_failure(end: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """End a client whose start fails or is cancelled."""
    try:
        yield
    except BaseException:
        await end()
        raise


async def _within(seconds: float, end: Callable[[], Awaitable[None]]) -> bool:
    """Whether an end came in time and without an error.

    A fetcher that closes without a broker lets the cancellation of its own tasks out: this task is not meant.
    """
    try:
        async with asyncio.timeout(seconds):
            await end()
    except (TimeoutError, KafkaError, OSError):
        return False
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        return False
    return True
