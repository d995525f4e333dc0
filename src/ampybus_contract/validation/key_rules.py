"""Rules of keys where there is no payload to compare with: topic and headers must agree among themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ampybus_contract.contract import DomainRule
from ampybus_contract.envelope.formula import fill
from ampybus_contract.validation.case import Case


def judge_keys_alone(case: Case, domain: DomainRule) -> None:
    """The key has the domain's form, with the parts that the topic names; a like dedupe_key is equal."""
    key = case.envelope.headers.get("partition_key")
    if domain.key is None or key is None:
        return
    rules = case.contract.key_requirements
    form = key_form(domain, case.groups, case.contract.key_separator)
    if not form.fullmatch(key):
        expected = " or ".join(repr(formula) for formula in (domain.key, domain.key_without) if formula)
        case.report(rules["formula"], "headers.partition_key", f"{expected} of this topic", repr(key))
    dedupe = case.envelope.headers.get("dedupe_key")
    if domain.dedupe_key == domain.key and dedupe not in (None, key):
        case.report(rules["dedupe"], "headers.dedupe_key", f"{key!r}, as partition_key", repr(dedupe))


def key_form(domain: DomainRule, groups: Mapping[str, str | None], separator: str) -> re.Pattern[str]:
    """What a key of the domain looks like on a topic with these parts; needs a domain that has a formula."""
    other = f"[^{re.escape(separator)}]*"
    forms = []
    for formula in (domain.key, domain.key_without):
        if formula is not None:
            pieces = re.split(r"\{([^}]*)\}", formula)
            for index, piece in enumerate(pieces):
                part = _of_topic(domain, groups, piece) if index % 2 else piece
                pieces[index] = other if part is None else re.escape(part)
            forms.append("".join(pieces))
    return re.compile("|".join(forms))


def key_of_topic(domain: DomainRule, groups: Mapping[str, str | None]) -> str | None:
    """The key, where the domain has one formula and the topic names every part of it; else None."""
    parts = {name: _of_topic(domain, groups, name) for name in domain.components}
    known = {name: text for name, text in parts.items() if text is not None}
    if domain.key is None or domain.key_without is not None or len(known) < len(parts):
        return None
    return fill(domain.key, known)


def sole_part(domain: DomainRule) -> bool:
    """Whether the key is one part and nothing else, and the dedupe key, where there is one, the same."""
    alone = {f"{{{name}}}" for name in domain.components}
    return len(alone) == 1 and domain.key in alone and domain.dedupe_key in (None, domain.key)


def _of_topic(domain: DomainRule, groups: Mapping[str, str | None], name: str) -> str | None:
    return groups.get(domain.components[name].topic or name)
