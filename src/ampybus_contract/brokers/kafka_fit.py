"""What a Kafka topic holds as an envelope, and what the mapping has no place for (D30)."""

from __future__ import annotations

import re

from ampybus_contract.envelope import Envelope

_FAMILY = re.compile(r"[A-Za-z0-9._-]+")
_LONGEST = 200


def unfit(envelope: Envelope, tokens: int, reserved: str, most_bytes: int) -> str:
    """Why no record stands for an envelope; empty where one does.

    ``tokens`` is how many tokens of a topic name the Kafka topic, ``reserved`` the header that carries the
    topic, ``most_bytes`` what the broker takes as one record.
    """
    family = envelope.topic.split(".")[:tokens]
    if len(family) < tokens or not all(family) or not _FAMILY.fullmatch(name := ".".join(family)):
        return "Kafka: the first tokens name a Kafka topic, of letters, digits, dots, underscores and hyphens"
    if len(name) > _LONGEST:
        return "Kafka: names of topics are short"
    if reserved in envelope.headers:
        return f"Kafka: the header {reserved} carries the topic"
    try:
        words = sum(len(text.encode()) for item in envelope.headers.items() for text in item)
        words += len(envelope.topic.encode())
    except UnicodeEncodeError:
        return "Kafka: topics and headers are UTF-8"
    if words + len(envelope.payload) > most_bytes:
        return "Kafka: the broker takes no more than max.message.bytes"
    return ""
