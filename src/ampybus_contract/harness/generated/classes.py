"""Classes of header values, sizes, times and keys that a binding may treat otherwise than the rest."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping

from ampybus_contract.envelope import Envelope

KIB = 1024
NUMBER = re.compile(r"[+-]?(0[0-9]+|[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?|0x[0-9a-f]+)")

VALUES: Mapping[str, Callable[[str], bool]] = {
    "empty": lambda text: not text,
    "padded": lambda text: text != text.strip(),
    "spaces": lambda text: "  " in text,
    "tab": lambda text: "\t" in text,
    "control": lambda text: any(ord(sign) < 32 and sign != "\t" for sign in text),
    "non_ascii": lambda text: not text.isascii(),
    "astral": lambda text: any(ord(sign) > 0xFFFF for sign in text),
    "decomposed": lambda text: not text.isascii() and unicodedata.normalize("NFC", text) != text,
    "number": lambda text: NUMBER.fullmatch(text) is not None,
    "json": lambda text: text[:1] in ("{", "[") or text in ("true", "false", "null"),
    "quoted": lambda text: '"' in text or "\\" in text,
    "percent": lambda text: re.search("%[0-9a-fA-F]{2}", text) is not None,
    "comma": lambda text: "," in text or ";" in text,
    "upper": lambda text: text != text.lower(),
    "1_KiB": lambda text: len(text) >= KIB,
    "4_KiB": lambda text: len(text) >= 4 * KIB,
}
"""A class of values of one header."""

SAMPLES: Mapping[str, str] = {
    "empty": "",
    "padded": " padded ",
    "spaces": "two  spaces",
    "tab": "a\tb",
    "control": "bell\x07",
    "non_ascii": "Zürich",
    "astral": "up 📈 🇨🇭",
    "decomposed": "Zu\u0308rich",
    "number": "007.50",
    "json": '{"b": 1,  "a": [true]}',
    "quoted": '"said \\ so"',
    "percent": "50%25 off",
    "comma": "a, b; c=d",
    "upper": "MiXeD",
    "1_KiB": "k" * KIB,
    "4_KiB": "0123456789abcdef" * 256,
}
"""A value of each class, for an unknown header."""

NAMES: Mapping[str, Callable[[str], bool]] = {
    "short": lambda name: len(name) <= 2,
    "long": lambda name: len(name) >= 64,
    "digits": lambda name: any(sign.isdigit() for sign in name),
    "double_underscore": lambda name: "__" in name,
    "ends_with_underscore": lambda name: name.endswith("_"),
    "x_prefix": lambda name: name.startswith("x_"),
    "like_a_known_one": lambda name: name.startswith(
        ("dlq_", "blob_", "trace", "retry", "message_", "nats_")
    ),
}
"""A class of names of headers that the contract does not know."""

NAME_SAMPLES: Mapping[str, str] = {
    "short": "q",
    "long": "n" * 96,
    "digits": "shard7",
    "double_underscore": "a__b",
    "ends_with_underscore": "tail_",
    "x_prefix": "x_note",
    "like_a_known_one": "message_kind",
}

SIZES: Mapping[str, Callable[[int], bool]] = {
    "empty": lambda size: size == 0,
    "below_64": lambda size: 0 < size < 64,
    "above_1_KiB": lambda size: size > KIB,
    "above_4_KiB": lambda size: size > 4 * KIB,
    "above_64_KiB": lambda size: size > 64 * KIB,
    "at_128_KiB": lambda size: abs(size - 128 * KIB) <= 1,
    "above_512_KiB": lambda size: size > 512 * KIB,
}
"""A class of sizes of payloads as sent, in bytes."""

TIMES: Mapping[str, re.Pattern[str]] = {
    "nanoseconds": re.compile(r".*\.[0-9]{7,9}Z"),
    "whole_second": re.compile(r"[^.]*Z"),
    "trailing_zero": re.compile(r".*\.[0-9]*0Z"),
    "leap_day": re.compile(r"....-02-29.*"),
    "before_2010": re.compile(r"(0|1|200).*"),
    "midnight": re.compile(r".*T00:00.*"),
}
"""A class of texts of ``produced_at``."""

KEYS: Mapping[str, Callable[[str], bool]] = {
    "dotted": lambda key: key.count(".") > 1,
    "long": lambda key: len(key) > 48,
    "non_ascii": lambda key: not key.isascii(),
    "spaced": lambda key: " " in key,
    "at_sign": lambda key: "@" in key,
    "separated": lambda key: "|" in key,
}
"""A class of partition keys."""

CARRIED = (
    "traceparent",
    "span_id",
    "schema_hash",
    "dedupe_key",
    "retry_count",
    "replay_request_id",
    "blob_ref",
)
"""Headers that not every message carries."""


def known(envelope: Envelope, name: str) -> str:
    """A header, or an empty text."""
    return envelope.headers.get(name, "")
