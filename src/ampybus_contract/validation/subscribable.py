"""Subscriptions that would get nothing, refused with what was meant (section 5, D1)."""

from __future__ import annotations

from ampybus_contract.contract import Contract
from ampybus_contract.errors import SubscriptionError
from ampybus_contract.validation.topic_rules import meant


def see_pattern(pattern: str, contract: Contract) -> None:
    """Return where a topic of the contract can fall under a pattern, else raise SubscriptionError."""
    rule = contract.topic
    tokens = pattern.split(".")
    concrete = tokens[:-1] if tokens[-1] == ">" else tokens
    for token in concrete:
        if token != "*" and not rule.token.fullmatch(token):
            raise _refused("names and * joined by dots, and > as the last token only", token, pattern)
    names = (rule.prefix,), rule.environments, tuple(contract.domains)
    for token, allowed in zip(concrete, names, strict=False):
        if token not in ("*", *allowed):
            fix = meant(contract, pattern) or f"write {' | '.join(allowed)}"
            raise _refused("a pattern that topics fall under", token, pattern, fix)
    if concrete is tokens and len(concrete) < rule.minimum_tokens:
        fix = f"write {pattern}.> for all below"
        raise _refused(f"{rule.minimum_tokens} tokens or a last >", len(concrete), pattern, fix)


def see_group(group: str) -> None:
    """Return where a consumer group has a name, else raise SubscriptionError. Dots and spaces are allowed."""
    if not group.strip() or not group.isprintable():
        raise SubscriptionError(
            f"SUBSCRIBE expected a consumer group with a printable name, got {group!r}. Fix: give it the "
            "name of the service, for example bars-writer"
        )


def _refused(
    expected: str,
    got: object,
    pattern: str,
    fix: str = "write ampy.{env}.{domain}.{version}.{subtopic} or .>",
) -> SubscriptionError:
    return SubscriptionError(f"SUBSCRIBE expected {expected}, got {got!r} in {pattern!r}. Fix: {fix}")
