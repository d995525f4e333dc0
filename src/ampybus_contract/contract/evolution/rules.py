"""The effect of every path of a spec: one row a kind of value, the first that fits decides."""

from __future__ import annotations

from typing import Any

from ampybus_contract.contract.evolution.effects import (
    ALL,
    NOBODY,
    Change,
    Direction,
    Effect,
    entity,
    fixed,
    members,
    neutral,
    number,
    pattern,
    wording,
)

P, C, O = Direction.PRODUCERS, Direction.CONSUMERS, Direction.OPERATORS  # noqa: E741  read as a table


def _header(path: str, old: Any, new: Any) -> Change:
    rule = old or new
    name = path.rpartition("/")[2]
    if old is None:
        required = bool(rule.get("required"))
        words = f"a new {'required' if required else 'optional'} header {name}"
        return Change(path, old, new, (P,) if required else NOBODY, words)
    words = f"the header {name} is no longer of the contract: readers miss it"
    return Change(path, old, new, (C,), words)


def _required(path: str, old: Any, new: Any) -> Change:
    if bool(old) == bool(new):
        return Change(path, old, new, NOBODY, "judged under another requirement")
    breaks, words = ((P,), "the header is required now") if new else ((C,), "the header may be missing now")
    return Change(path, old, new, breaks, words)


def _level(path: str, old: Any, new: Any) -> Change:
    raised = new == "MUST" or old in ("MAY", "INFO")
    words = f"the requirement is {'raised' if raised else 'lowered'} from {old} to {new}"
    return Change(path, old, new, (P, C) if new == "MUST" else (C,) if old == "MUST" else NOBODY, words)


def _requirement(path: str, old: Any, new: Any) -> Change:
    name, rule = path.rpartition("/")[2], old or new
    must = rule["level"] == "MUST"
    if old is None:
        return Change(
            path, old, new, (P, C) if must else NOBODY, f"a new requirement {name}, {rule['level']}"
        )
    return Change(path, old, new, (C,) if must else NOBODY, f"the requirement {name} is gone")


def _ordering(path: str, old: Any, new: Any) -> Change:
    breaks, words = ((O,), "brokers and bindings must keep the order now") if new == "strict" else (
        (C,), "readers can no longer rely on the order"
    )  # fmt: skip
    return Change(path, old, new, breaks, words)


TIGHTER = "a tighter objective"
LOOSER = "a looser objective"
RULES: tuple[tuple[str, Effect], ...] = (
    ("contract/version", neutral("the version itself")),
    ("contract/contract", fixed("another contract", *ALL)),
    ("contract/topic/environments", members(((P, C, O), "environments that go"), ((O,), "environments that come"))),
    ("contract/topic/prefix", fixed("every topic has another name", *ALL)),
    ("contract/topic/minimum_tokens", number(((C,), "shorter topics"), ((P,), "longer topics only"))),
    ("contract/topic/*_pattern", pattern("topics")),
    ("contract/payload/content_encodings", members(((P,), "encodings that go"), ((C,), "encodings that come"))),
    ("contract/payload/compress_above_bytes", number(((P,), "smaller payloads must be compressed"), ((C,), "larger payloads come plain"))),
    ("contract/payload/sent_below_bytes", number(((P,), "a smaller limit"), ((C, O), "a larger limit"))),
    ("contract/payload/decoded_at_most_bytes", number(((P,), "a smaller limit"), ((C,), "a larger limit"))),
    ("contract/keys/separator", fixed("every key is written in another way", P, C)),
    ("headers/headers/*", _header),
    ("headers/headers/*/required", _required),
    ("headers/headers/*/pattern", pattern("values of the header")),
    ("headers/headers/*/recommended/pattern", neutral("another recommendation")),
    ("headers/headers/*/recommended", neutral("a recommendation comes or goes")),
    ("headers/headers/*/example", wording),
    ("headers/headers/*/per_run", fixed("another promise of what stays the same in a run", P)),
    ("headers/headers/*/date_time", fixed("another idea of which times exist", P)),
    ("headers/headers/*/code_from", fixed("other codes", P, C)),
    ("headers/name_pattern", pattern("header names")),
    ("headers/value_pattern", pattern("header values")),
    ("delivery/guarantee", fixed("another guarantee", *ALL)),
    ("delivery/tiers/*", entity("the tier", (C, O))),
    ("delivery/tiers/*/attempts", number(((C,), "handlers get fewer attempts"), ((O,), "poison stays longer in the queue"))),
    ("delivery/tiers/*/*", neutral("other pauses between attempts")),
    ("delivery/effects_remembered", number(((C,), "a shorter window for duplicates: late ones take effect twice"), ((O,), "more to remember"))),
    ("delivery/infrastructure_headers", members(((C,), "headers that infrastructure no longer adds"), ((P,), "headers that producers must not use now"))),
    ("delivery/reasons/*", entity("the reason code", (O,), (O,))),
    ("delivery/reasons/*/meaning", wording),
    ("delivery/reasons/*/*", fixed("another use of the reason code", O)),
    ("delivery/dlq/topic", fixed("dead letters go to another topic", C, O)),
    ("delivery/dlq/headers/*", fixed("dead letters carry another header", C, O)),
    ("delivery/dlq/decode_requirements", neutral("another reason code for some violations")),
    ("requirements/*", _requirement),
    ("requirements/*/level", _level),
    ("requirements/*/*", wording),
    ("checks/checks/*", entity("the check", NOBODY, NOBODY)),
    ("checks/checks/*/*", neutral("the check is another one; a binding that passed may fail")),
    ("pointer/headers", fixed("pointer envelopes look different", P, C)),
    ("pointer/*", fixed("broken pointers end in another way", C, O)),
    ("backpressure/in_flight", number(((C,), "less in flight"), ((O,), "more in flight"))),
    ("backpressure/**", fixed("another reaction to lag", P, O)),
    ("replay/scopes/*", entity("the replay scope", (C, O))),
    ("replay/scopes/*/meaning", wording),
    ("replay/retention/*", entity("the retention policy", (O,))),
    ("replay/retention/*/*", number(((C, O), "kept for a shorter time"), ((O,), "kept for a longer time"))),
    ("replay/lookup_slack_seconds", neutral("another slack when looking up times")),
    ("replay/**", fixed("replays are asked for, marked or bounded in another way", C, O)),
    ("metrics/metrics/*", entity("the metric", (O,))),
    ("metrics/labels/*", entity("the label", (O,))),
    ("metrics/metrics/*/labels", members(((O,), "labels that go"), ((O,), "labels that come"))),
    ("metrics/**", fixed("series have another name, unit or value", O)),
    ("logs/fields", members(((O,), "fields that go"), (NOBODY, "fields that come"))),
    ("logs/payload_forbidden_as", members((NOBODY, "forms that are allowed"), ((P, C), "forms that are forbidden now"))),
    ("logs/**", fixed("log records look different", O)),
    ("tracing/spans/*", entity("the span", (O,))),
    ("tracing/**", fixed("traces look different", O)),
    ("security/personal_data/*", entity("the policy", (P,))),
    ("security/personal_data/*/meaning", wording),
    ("security/tls/verify", members(((O,), "a check of certificates that goes"), ((P, C, O), "a check of certificates that comes"))),
    ("security/**", fixed("other permissions, certificates or secrets", *ALL)),
    ("slo/latency/*", entity("the latency objective", (C,), (O,))),
    ("slo/latency/*/percentile", number(((C,), LOOSER), ((O,), TIGHTER))),
    ("slo/latency/*/at_most_ms", number(((O,), TIGHTER), ((C,), LOOSER))),
    ("slo/availability/at_least", number(((C,), LOOSER), ((O,), TIGHTER))),
    ("slo/recovery/*", number(((O,), TIGHTER), ((C,), LOOSER))),
    ("slo/payload/*", neutral("another typical size")),
    ("slo/**", fixed("objectives are measured in another way", O)),
    ("services/services/*", entity("the service", (C, O), (O,))),
    ("services/services/*/publishes", members(((P, C), "topics it may no longer publish"), ((O,), "topics it may publish now"))),
    ("services/services/*/reads", members(((C,), "topics it may no longer read"), ((O,), "topics it may read now"))),
    ("services/services/*/*", wording),
    ("bindings/**", fixed("messages travel in another form", *ALL)),
    ("privacy/domains", members((NOBODY, "domains that may hold personal data"), ((P,), "domains that must hold none now"))),
    ("privacy/exempt_headers", members(((P,), "headers that are looked through now"), (NOBODY, "headers that are exempt"))),
    ("privacy/exempt_fields", members(((P,), "fields that are looked through now"), (NOBODY, "fields that are exempt"))),
    ("privacy/detectors/*", entity("the kind of personal data", NOBODY, (P,))),
    ("privacy/detectors/*/example", wording),
    ("privacy/screen", fixed("another look for personal data", P)),
    ("privacy/detectors/*/*", fixed("another look for personal data", P)),
    ("domains/*", entity("the domain", (P, C, O), NOBODY, payload=True)),
    ("domains/*/ordering", _ordering),
    ("domains/*/subtopic", pattern("subtopics")),
    ("domains/*/key", fixed("another partition key: another order, and other partitions", P, C, payload=True)),
    ("domains/*/key_without/**", fixed("another form of the key", P, C)),
    ("domains/*/key_without", fixed("a part of the key becomes optional or is always there", P, C)),
    ("domains/*/dedupe_key", fixed("other messages count as duplicates", P, C)),
    ("domains/*/payloads/*", entity("the payload type", (P, C), (C,), payload=True)),
    ("domains/*/payloads/*/**", fixed("the payload type is read in another way", P, C, payload=True)),
    ("domains/*/aliases/*", entity("the old name", (P,), NOBODY)),
    ("domains/*/components/*", entity("the part of the key", (P, C), (P, C))),
    ("domains/*/components/*/**", fixed("a part of the key comes from elsewhere", P, C)),
    ("domains/*/required_headers/*", _required),
    ("domains/*/tier", fixed("another tier of retries", C, O)),
    ("domains/*/priority", fixed("another rank when the bus is slow", P, O)),
    ("domains/*/replay", fixed("replayed in another scope", C, O)),
    ("domains/*/retention", fixed("kept for another time", O)),
    ("domains/*/latency", fixed("another latency objective", C, O)),
    ("domains/*/personal_data", fixed("another policy on personal data", P)),
    ("domains/*/latest_wins", fixed("another meaning of a newer message", C)),
    ("domains/*/**", fixed("the domain carries messages in another way", P, C)),
    ("payloads/**", neutral("test data of strategies")),
    ("samples/**", neutral("test data of the suites")),
    ("**/requirements/*", neutral("judged under another requirement")),
    ("**/requirement", neutral("judged under another requirement")),
    ("**/format", neutral("judged under another requirement")),
)  # fmt: skip


def effect_of(path: str, *, whole: bool = False) -> Effect | None:
    """The first effect whose path fits; ``*`` is one part of a path, ``**`` one or more.

    ``whole`` asks for what may come or go with all that is below it: only a row of exactly this length counts.
    """
    parts = path.split("/")
    late = [(row, effect) for row, effect in RULES if row.startswith("**/")]
    for row, effect in (*late, *RULES):
        wanted = row.split("/")
        if whole and ("**" in wanted or len(wanted) != len(parts)):
            continue
        if _fits(wanted, parts):
            return effect
    return None


def _fits(wanted: list[str], parts: list[str]) -> bool:
    if not wanted or not parts:
        return not wanted and not parts
    first, *rest = wanted
    if first == "**":
        return any(_fits(rest, parts[count:]) for count in range(1, len(parts) + 1))
    same = first in ("*", parts[0]) or (first.startswith("*_") and parts[0].endswith(first[1:]))
    return same and _fits(rest, parts[1:])
