"""What a NATS stream holds as it is, and what the server or its client would alter or refuse (D29)."""

from __future__ import annotations

import re

from ampybus_contract.envelope import Envelope

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TOKEN = re.compile(r"[^\s\x00]+")
_BLOCK = "NATS/1.0\r\n\r\n"
_LINE = ": \r\n"


def unfit(envelope: Envelope, prefix: str, reserved: str, max_payload: int) -> str:
    """Why a stream over all topics with the prefix does not hold an envelope as it is; empty where it does.

    ``reserved`` is the header in which the binding writes what the server deduplicates by; ``max_payload`` is
    in bytes, and counts the headers.
    """
    tokens = envelope.topic.split(".")
    if tokens[0] != prefix or len(tokens) == 1 or not all(map(_TOKEN.fullmatch, tokens)):
        return "NATS: the stream takes topics with the prefix, without blanks and empty tokens"
    words = 0
    for name, value in envelope.headers.items():
        if not _NAME.fullmatch(name) or name == reserved:
            return "NATS: header names are ASCII letters, digits and few signs, and one name is the binding's"
        if value != value.strip() or "\r" in value or "\n" in value:
            return "NATS: blanks around header values are removed, and line breaks become blanks"
        try:
            words += len(name) + len(value.encode()) + len(_LINE)
        except UnicodeEncodeError:
            return "NATS: header values are UTF-8"
    if len(_BLOCK) + words + len(envelope.payload) > max_payload:
        return "NATS: the server takes no more than max_payload bytes, headers included"
    return ""
