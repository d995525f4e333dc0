"""What goes wrong in the background of a consumer group, said once in the log while it lasts."""

from __future__ import annotations

import asyncio
import logging

from aiokafka import errors

LOG = logging.getLogger(__name__)
CALM_SECONDS = 5.0
FIXES: tuple[tuple[type[Exception], str], ...] = (
    (errors.GroupAuthorizationFailedError, "let the user Read the group"),
    (errors.TopicAuthorizationFailedError, "let the user Read the topic"),
    (errors.UnknownTopicOrPartitionError, "create the topic"),
    (errors.KafkaError, "see that the broker runs; where it does and this stays, start the binding again"),
    (OSError, "see that the broker runs"),
)


class KafkaTrouble:
    """Of one act of a group: trouble of one kind is one line, and its end is another.

    It has ended when the act succeeds and nothing went wrong in ``CALM_SECONDS``: errors of one partition
    come between the messages of the others.
    """

    def __init__(self, act: str) -> None:
        self.act = act
        self.kinds: set[type[Exception]] = set()
        self.last = 0.0

    def note(self, error: Exception) -> None:
        """Say what went wrong, unless it was said."""
        self.last = asyncio.get_running_loop().time()
        if type(error) in self.kinds:
            return
        self.kinds.add(type(error))
        fix = next(words for kind, words in FIXES if isinstance(error, kind))
        LOG.error("BROKER expected to %s, got %s. Fix: %s", self.act, str(error) or type(error).__name__, fix)

    def calm(self) -> None:
        """Note a success."""
        if self.kinds and asyncio.get_running_loop().time() - self.last > CALM_SECONDS:
            self.kinds.clear()
            LOG.warning("It works again to %s", self.act)
