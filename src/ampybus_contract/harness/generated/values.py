"""What broken bindings do to a header's value: each rewrite is one that real code has done."""

from __future__ import annotations

import json
import re
import unicodedata
import uuid
from collections.abc import Callable, Mapping
from urllib.parse import unquote

from ampybus_contract.harness.generated.classes import NUMBER

Rewrite = Callable[[str], str]
FRACTION = re.compile(r"\.([0-9]+)Z$")


def _number(text: str) -> str:
    if not NUMBER.fullmatch(text) or text.startswith("0x"):
        return text
    value = float(text)
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else str(value)


def _json(text: str) -> str:
    try:
        found = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(found, int | float) else json.dumps(found, separators=(",", ":"))


def _no_astral(text: str) -> str:
    return "".join(sign for sign in text if ord(sign) <= 0xFFFF)


def _other_id(text: str) -> str:
    try:
        return str(uuid.UUID(int=uuid.UUID(text).int ^ 1))
    except ValueError:
        return text


def _fraction(digits: int) -> Rewrite:
    return lambda text: FRACTION.sub(lambda found: f".{found[1][:digits]}Z" if digits else "Z", text)


ALTER: Mapping[str, Rewrite] = {
    "strip": str.strip,
    "collapse": lambda text: re.sub(" +", " ", text),
    "lower": str.lower,
    "upper": str.upper,
    "nfc": lambda text: unicodedata.normalize("NFC", text),
    "latin_1": lambda text: text.encode("latin-1", "replace").decode("latin-1"),
    "ascii": lambda text: text.encode("ascii", "replace").decode(),
    "no_astral": _no_astral,
    "number": _number,
    "json": _json,
    "unquote": unquote,
    "no_control": lambda text: "".join(sign for sign in text if ord(sign) >= 32),
    "tab_to_space": lambda text: text.replace("\t", " "),
    "unescape": lambda text: text.strip('"').replace("\\", ""),
    "default": lambda text: text or "-",
}
"""Rewrites that fit every header."""

CUT: Mapping[str, Rewrite] = {
    "at_64": lambda text: text[:64],
    "at_255": lambda text: text[:255],
    "at_1024": lambda text: text[:1024],
    "last_sign": lambda text: text[:-1],
    "at_comma": lambda text: text.split(",")[0],
    "at_equals": lambda text: text.split("=")[0],
}

REPEAT: Mapping[str, Rewrite] = {
    "joined": lambda text: f"{text},{text}",
}

OF_TIMES: Mapping[str, Rewrite] = {
    "microseconds": _fraction(6),
    "milliseconds": _fraction(3),
    "seconds": _fraction(0),
    "no_trailing_zeros": lambda text: re.sub(r"(\.[0-9]*?)0+Z$", r"\1Z", text).replace(".Z", "Z"),
    "offset": lambda text: re.sub("Z$", "+00:00", text),
    "six_digits": lambda text: FRACTION.sub(lambda found: f".{found[1]:0<6}Z", text),
    "whole_gets_fraction": lambda text: re.sub(r"(:[0-9]{2})Z$", r"\1.000Z", text),
}

OF_IDS: Mapping[str, Rewrite] = {"other_id": _other_id, "no_hyphens": lambda text: text.replace("-", "")}
OF_COUNTS: Mapping[str, Rewrite] = {"plus_one": lambda text: str(int(text) + 1) if text.isdigit() else text}
