"""The effect of every path of a spec: one row a kind of value, the first that fits decides.

``*`` in a row is one part of a path, ``**`` one or more. A path without a row is unknown, so it breaks everybody:
no row may declare harmless what it does not name.
"""

from __future__ import annotations

from collections.abc import Mapping

from ampybus_contract.contract.evolution.effects import (
    ALL,
    NOBODY,
    Change,
    Difference,
    Direction,
    Effect,
    entity,
    escaped,
    fixed,
    flag,
    members,
    number,
    pattern,
    unknown,
    wording,
)
from ampybus_contract.contract.evolution.judgement import (
    at,
    header,
    judged,
    level_of,
    ordering,
    required,
    requirement,
)
from ampybus_contract.contract.evolution.majors import payload_type

P, C, O = Direction.PRODUCERS, Direction.CONSUMERS, Direction.OPERATORS  # noqa: E741  read as a table


def _by_name(path: str, what: str) -> Effect:
    """A name of something that stands elsewhere: it breaks as if that had changed from the one to the other."""

    def effect(difference: Difference) -> Change:
        named = difference.old, difference.new
        if not all(isinstance(name, str) for name in named):
            return unknown(difference)
        old = at(difference.before, *path.split("/"), named[0])
        new = at(difference.after, *path.split("/"), named[1])
        below = [(f"{path}/{escaped(named[old is None])}", old, new)]
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            below = [(f"{path}/*/{escaped(key)}", old.get(key), new.get(key)) for key in {**old, **new}]
        changes = [
            effect_of(row)(Difference(row, one, other, difference.before, difference.after))
            for row, one, other in below
            if one != other
        ]
        breaks = dict.fromkeys(whom for change in changes for whom in change.breaks)
        words = dict.fromkeys(change.meaning for change in changes if change.breaks)
        return difference.change(
            tuple(breaks), f"{what} {named[1]!r}" + "".join(f"; {text}" for text in words)
        )

    return effect


TIGHTER = "a tighter objective"
LOOSER = "a looser objective"
RULES: tuple[tuple[str, Effect], ...] = (
    ("contract/version", fixed("the version itself")),
    ("contract/contract", fixed("another contract", *ALL)),
    ("contract/topic/environments", members(((P, C, O), "environments that go"), (NOBODY, "environments that come"))),
    ("contract/topic/prefix", fixed("every topic has another name", *ALL)),
    ("contract/topic/minimum_tokens", number(((C,), "shorter topics"), ((P,), "longer topics only"))),
    ("contract/topic/token_pattern", pattern("topics")),
    ("contract/topic/version_pattern", pattern("topics")),
    ("contract/*/requirements/*", judged),
    ("contract/payload/content_encodings", members(((P,), "encodings that go"), ((C,), "encodings that come"))),
    ("contract/payload/compress_above_bytes", number(((P,), "smaller payloads must be compressed"), ((C,), "larger payloads come plain"))),
    ("contract/payload/sent_below_bytes", number(((P,), "a smaller limit"), ((C, O), "a larger limit"))),
    ("contract/payload/decoded_at_most_bytes", number(((P,), "a smaller limit"), ((C,), "a larger limit"))),
    ("contract/keys/separator", fixed("every key is written in another way", P, C)),
    ("headers/headers/*", header),
    ("headers/headers/*/required", required),
    ("headers/headers/*/format", judged),
    ("headers/headers/*/pattern", pattern("values of the header")),
    ("headers/headers/*/recommended/pattern", fixed("another recommendation")),
    ("headers/headers/*/recommended/requirement", fixed("another recommendation")),
    ("headers/headers/*/recommended", fixed("a recommendation comes or goes")),
    ("headers/headers/*/example", wording),
    ("headers/headers/*/per_run", flag(((C,), "the value may change within a run"), ((P,), "the value must stay the same in a run"))),
    ("headers/headers/*/date_time", flag(((C,), "times that do not exist are allowed"), ((P,), "the time must exist"))),
    ("headers/headers/*/code_from", fixed("other codes", P, C)),
    ("headers/name_pattern", pattern("header names")),
    ("headers/value_pattern", pattern("header values")),
    ("headers/requirements/*", judged),
    ("delivery/guarantee", fixed("another guarantee", *ALL)),
    ("delivery/tiers/*", entity("the tier", (C, O), NOBODY)),
    ("delivery/tiers/*/attempts", number(((C,), "handlers get fewer attempts"), ((O,), "poison stays longer in the queue"))),
    ("delivery/tiers/*/backoff_initial_ms", fixed("other pauses between attempts")),
    ("delivery/tiers/*/backoff_factor", fixed("other pauses between attempts")),
    ("delivery/tiers/*/backoff_max_ms", fixed("other pauses between attempts")),
    ("delivery/tiers/*/jitter", fixed("other pauses between attempts")),
    ("delivery/effects_remembered", number(((C,), "a shorter window for duplicates: late ones take effect twice"), ((O,), "more to remember"))),
    ("delivery/infrastructure_headers", members(((C,), "headers that infrastructure no longer adds"), ((P,), "headers that producers must not use now"))),
    ("delivery/reasons/*", entity("the reason code", (O,), (O,))),
    ("delivery/reasons/*/meaning", wording),
    ("delivery/reasons/*/kinds", fixed("another use of the reason code", O)),
    ("delivery/reasons/*/final", fixed("another use of the reason code", C, O)),
    ("delivery/dlq/topic", fixed("dead letters go to another topic", C, O)),
    ("delivery/dlq/headers/*", fixed("dead letters carry another header", C, O)),
    ("delivery/dlq/decode_requirements", fixed("some violations get another reason code", O)),
    ("requirements/*", requirement),
    ("requirements/*/level", level_of),
    ("requirements/*/checks", members((NOBODY, "shown by fewer checks"), (NOBODY, "shown by more checks: a binding that passed may fail"))),
    ("requirements/*/clause", wording),
    ("requirements/*/text", wording),
    ("requirements/*/rationale", wording),
    ("requirements/*/fix", wording),
    ("requirements/*/no_check", wording),
    ("checks/profiles/*", entity("the profile", NOBODY, NOBODY)),
    ("checks/profiles/*/text", wording),
    *((f"checks/profiles/*/{key}", fixed("the profile asks for something else: a binding that passed it may fail"))
      for key in ("chapters", "may_lack")),
    ("checks/checks/*", entity("the check", NOBODY, NOBODY)),
    ("checks/checks/*/chapter", wording),
    ("checks/checks/*/text", wording),
    *((f"checks/checks/*/{key}", fixed("the check is another one: a binding that passed may fail"))
      for key in ("claim", "where", "needs", "mutants", "planned", "requirements")),
    ("pointer/headers", fixed("pointer envelopes look different", P, C)),
    ("pointer/on_mismatch", fixed("broken pointers end in another way", C, O)),
    ("pointer/on_missing", fixed("broken pointers end in another way", C, O)),
    ("pointer/requirements/*", judged),
    ("backpressure/in_flight", number(((C,), "less in flight"), ((O,), "more in flight"))),
    ("backpressure/slow_first", fixed("another reaction to lag", P, O)),
    ("backpressure/drops", fixed("another reaction to lag", *ALL)),
    ("backpressure/lag/*", fixed("lag is told in another way", O)),
    ("replay/scopes/*", entity("the replay scope", (C, O), NOBODY)),
    ("replay/scopes/*/meaning", wording),
    ("replay/retention/*", entity("the retention policy", (C, O), NOBODY)),
    ("replay/retention/*/live_days", number(((C, O), "kept for a shorter time"), ((O,), "kept for a longer time"))),
    ("replay/retention/*/analytical_days", number(((C, O), "kept for a shorter time"), ((O,), "kept for a longer time"))),
    ("replay/lookup_slack_seconds", fixed("another slack when looking up times")),
    ("replay/control_topic", fixed("replays are asked for on another topic", P, C, O)),
    ("replay/request", fixed("replays are asked for by another type", P, C, O)),
    ("replay/header", fixed("replayed messages are marked in another way", C, O)),
    ("replay/window/*", fixed("replays have other bounds", C, O)),
    ("replay/checkpoint/*", fixed("readers resume from elsewhere", C, O)),
    ("metrics/metrics/*", entity("the metric", (O,), NOBODY)),
    ("metrics/metrics/*/labels", members(((O,), "labels that go"), ((O,), "labels that come"))),
    ("metrics/metrics/*/*", fixed("the metric has another value, kind or unit", *ALL)),
    ("metrics/labels/*", entity("the label", (O,), NOBODY)),
    ("metrics/labels/*/*", fixed("the label has another value", *ALL)),
    ("metrics/prometheus_separator", fixed("series have other names", O)),
    ("logs/fields", members(((O,), "fields that go"), (NOBODY, "fields that come"))),
    ("logs/one_of", members(((O,), "fields that go"), (NOBODY, "fields that come"))),
    ("logs/results", members(((O,), "results that go"), ((O,), "results that come"))),
    ("logs/record", fixed("log records have another form", O)),
    ("logs/payload_forbidden_as", members(((O,), "forms that logs may show now"), ((P, C), "forms that are forbidden now"))),
    ("tracing/spans/*", entity("the span", (O,), NOBODY)),
    ("tracing/spans/*/*", fixed("the span looks different", *ALL)),
    ("tracing/attributes/*", entity("the attribute", (O,), NOBODY)),
    ("tracing/propagates", fixed("traces travel in another header", P, C, O)),
    ("tracing/continues_across", members(((C, O), "traces end at"), ((O,), "traces go on across"))),
    ("tracing/consumer_links_producer", fixed("spans are linked in another way", O)),
    ("security/tls/verify", members((ALL, "a check of certificates that goes"), (ALL, "a check of certificates that comes"))),
    ("security/**", fixed("other permissions, certificates or secrets", *ALL)),
    ("slo/latency/*", entity("the latency objective", (C,), (O,))),
    ("slo/latency/*/percentile", number(((C,), LOOSER), ((O,), TIGHTER))),
    ("slo/latency/*/at_most_ms", number(((O,), TIGHTER), ((C,), LOOSER))),
    ("slo/availability/at_least", number(((C,), LOOSER), ((O,), TIGHTER))),
    ("slo/availability/window", fixed("availability is measured over another time", C, O)),
    ("slo/recovery/point_objective_seconds", number(((O,), TIGHTER), ((C,), LOOSER))),
    ("slo/recovery/time_objective_seconds", number(((O,), TIGHTER), ((C,), LOOSER))),
    ("slo/payload/typical_from_bytes", fixed("another typical size")),
    ("slo/payload/typical_to_bytes", fixed("another typical size")),
    ("slo/measurement/*", fixed("objectives are measured in another way", *ALL)),
    ("services/services/*", entity("the service", (C, O), NOBODY)),
    ("services/services/*/publishes", members((ALL, "topics it may no longer publish"), (NOBODY, "topics it may publish now"))),
    ("services/services/*/reads", members(((C, O), "topics it may no longer read"), (NOBODY, "topics it may read now"))),
    ("services/services/*/role", wording),
    ("services/services/*/language", wording),
    ("bindings/**", fixed("messages travel in another form", *ALL)),
    ("privacy/domains", members(((C,), "domains that may hold personal data now"), ((P,), "domains that must hold none now"))),
    ("privacy/exempt_headers", members(((P,), "headers that are looked through now"), ((C,), "headers that may hold personal data now"))),
    ("privacy/exempt_fields", members(((P,), "fields that are looked through now"), ((C,), "fields that may hold personal data now"))),
    ("privacy/requirements/*", judged),
    ("privacy/detectors/*", entity("the kind of personal data", (C,), (P,))),
    ("privacy/detectors/*/example", wording),
    ("privacy/detectors/*/pattern", fixed("another look for personal data", P, C)),
    ("privacy/detectors/*/check", fixed("another look for personal data", P, C)),
    ("privacy/screen", fixed("another look for personal data", P, C)),
    ("domains/*", entity("the domain", ALL, NOBODY)),
    ("domains/*/ordering", ordering),
    ("domains/*/subtopic", pattern("subtopics")),
    ("domains/*/key", fixed("another partition key: another order, and other partitions", P, C)),
    ("domains/*/key_without/formula", fixed("another form of the key", P, C)),
    ("domains/*/key_without/requirement", judged),
    ("domains/*/key_without", fixed("a part of the key becomes optional or is always there", P, C)),
    ("domains/*/dedupe_key", fixed("other messages count as duplicates", P, C)),
    ("domains/*/payloads/*", payload_type),
    ("domains/*/payloads/*/item", fixed("the payload type is read in another way", P, C, payload=True)),
    ("domains/*/payloads/*/choice", fixed("the payload type is read in another way", P, C, payload=True)),
    ("domains/*/payloads/*/when/*", fixed("the payload type goes with other subtopics", P, C, payload=True)),
    ("domains/*/aliases/*", entity("the old name", (P,), (C,))),
    ("domains/*/components/*", entity("the part of the key", (P, C), (P, C))),
    ("domains/*/components/*/*", fixed("a part of the key comes from elsewhere", *ALL)),
    ("domains/*/required_headers/*", required),
    ("domains/*/carries", fixed("messages carry another domain's payloads", *ALL)),
    ("domains/*/origin/header", fixed("the origin stands in another header", P, C, O)),
    ("domains/*/origin/requirement", judged),
    ("domains/*/payload_hash/header", fixed("the payload's hash stands in another header", P, C, O)),
    ("domains/*/payload_hash/requirement", judged),
    ("domains/*/tier", _by_name("delivery/tiers", "the tier is now")),
    ("domains/*/priority", fixed("another rank when the bus is slow", P, O)),
    ("domains/*/replay", fixed("replayed in another scope", C, O)),
    ("domains/*/retention", _by_name("replay/retention", "the retention policy is now")),
    ("domains/*/latency", _by_name("slo/latency", "the latency objective is now")),
    ("domains/*/personal_data", fixed("another policy on personal data", P, C)),
    ("domains/*/latest_wins", fixed("another meaning of a newer message", C)),
    ("overlay/suppress", members((NOBODY, "requirements that are reported again"), (NOBODY, "requirements that are no longer reported"))),
    ("proto/*", entity("the provisional protobuf type", (P, C), NOBODY)),
    ("proto/*/*", entity("the field", (P, C), NOBODY, payload=True)),
    *((f"payloads/{rest}", fixed("test data of strategies"))
      for rest in ("clock/from", "clock/span_seconds", "ahead_of_publication", "batch_at_most", "fillers", "pools/*",
                   "types/**", "fields/**", "messages/*/record", "messages/*/always", "messages/*/identity",
                   "messages/*/order", "messages/*/presence/**", "messages/*/fields/**", "messages/*/within/**",
                   "headers/**", "headers_left_out", "workloads/*/steps", "workloads/*/step_header",
                   "workloads/*/answered_by")),
    *((f"samples/domains/*/{rest}", fixed("test data of the suites"))
      for rest in ("payload", "subtopic", "components/*", "counter", "filler")),
)  # fmt: skip


def effect_of(path: str) -> Effect:
    """The effect of the first row whose path fits; everybody breaks where there is none."""
    return next((effect for row, effect in RULES if fits(row, path)), unknown)


def whole_effect_of(path: str) -> Effect | None:
    """The effect of what comes or goes with all that is below it, where a row of exactly this length says so."""
    rows = [row for row in RULES if "**" not in row[0] and fits(row[0], path)]
    return rows[0][1] if rows else None


def fits(row: str, path: str) -> bool:
    """Whether a row speaks of a path."""
    return _fits(row.split("/"), path.split("/"))


def _fits(wanted: list[str], parts: list[str]) -> bool:
    if not wanted or not parts:
        return not wanted and not parts
    first, *rest = wanted
    if first == "**":
        return any(_fits(rest, parts[count:]) for count in range(1, len(parts) + 1))
    return first in ("*", parts[0]) and _fits(rest, parts[1:])
