"""Which envelopes must hold no personal data, and what counts as such (D36)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Detector:
    """One kind of personal data: its look, and ``check``, the sum its digits must satisfy, or None."""

    name: str
    pattern: re.Pattern[str]
    check: str | None
    example: str


@dataclass(frozen=True, slots=True)
class PrivacyRule:
    """Domains without personal data, the detectors, and the headers and fields they leave out.

    A text in which ``screen`` finds nothing holds no personal data; no detector looks at it.
    """

    domains: frozenset[str]
    detectors: tuple[Detector, ...]
    exempt_headers: frozenset[str]
    exempt_fields: frozenset[str]
    screen: re.Pattern[str]
    requirements: Mapping[str, str]


def privacy_rule(data: Mapping[str, Any]) -> PrivacyRule:
    """The rule of a parsed ``privacy.yaml``."""
    return PrivacyRule(
        frozenset(data["domains"]),
        tuple(
            Detector(name, re.compile(item["pattern"]), item.get("check"), item["example"])
            for name, item in data["detectors"].items()
        ),
        frozenset(data["exempt_headers"]),
        frozenset(data["exempt_fields"]),
        re.compile(data["screen"]),
        data["requirements"],
    )
