"""Header values drawn from the seed, so that no fixed value marks the messages of the suites."""

from __future__ import annotations

import random
import string

from ampybus_contract.contract import Contract, HeaderRule

TRIES = 20
CLASSES = (string.digits, "abcdef", string.ascii_lowercase, string.ascii_uppercase)


def own_values(contract: Contract, seed: int) -> dict[str, str]:
    """For each required header its example with other letters and digits, where that has the header's form.

    Times keep their example. Whether a value fits the rest of a message is for the caller to see.
    """
    draw = random.Random(f"headers {seed}")
    required = [rule for rule in contract.headers.values() if rule.required]
    return {rule.name: rule.example if rule.date_time else _varied(rule, draw) for rule in required}


def _varied(rule: HeaderRule, draw: random.Random) -> str:
    for _ in range(TRIES):
        text = "".join(_another(sign, draw) for sign in rule.example)
        if rule.pattern.fullmatch(text):
            return text
    return rule.example


def _another(sign: str, draw: random.Random) -> str:
    for letters in CLASSES:
        if sign in letters:
            return draw.choice(letters)
    return sign
