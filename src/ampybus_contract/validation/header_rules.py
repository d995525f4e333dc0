"""Rules of headers: names, values, presence, forms, pointer and trace headers agreeing."""

from __future__ import annotations

from datetime import datetime

from ampybus_contract.contract import DomainRule, HeaderRule
from ampybus_contract.validation.case import Case


def judge_headers(case: Case) -> None:
    """Names, values, presence and form of every header (section 6)."""
    contract, headers = case.contract, case.envelope.headers
    for name, value in headers.items():
        if not contract.header_name.fullmatch(name):
            case.report(
                contract.header_requirements["name"], "headers", contract.header_name.pattern, repr(name)
            )
        if not contract.header_value.fullmatch(value):
            case.report(
                contract.header_requirements["value"], f"headers.{name}", "one line of text", repr(value)
            )
    for name, rule in contract.headers.items():
        found = headers.get(name)
        if found is None:
            if rule.required:
                case.report(
                    rule.required, f"headers.{name}", f"a value such as {rule.example}", "no such header"
                )
            continue
        expected = f"a value such as {rule.example}"
        if not well_formed(rule, found):
            case.report(rule.format, f"headers.{name}", expected, repr(found))
        elif rule.recommended_requirement and not well_advised(rule, found):
            case.report(rule.recommended_requirement, f"headers.{name}", expected, repr(found))
    _trace(case)


def _trace(case: Case) -> None:
    parent_rule = case.contract.headers.get("traceparent")
    match = parent_rule and parent_rule.pattern.fullmatch(case.envelope.headers.get("traceparent", ""))
    for name, part in match.groupdict().items() if match else ():
        own = case.envelope.headers.get(name)
        if own is not None and own != part:
            case.report(case.contract.header_requirements["trace"], f"headers.{name}", part, own)


def judge_pointer(case: Case) -> None:
    """The pointer headers are all there or none, beside no payload (D18)."""
    headers, names = case.envelope.headers, case.contract.pointer_headers
    present = [name for name in names if name in headers]
    if not present:
        return
    rules = case.contract.pointer_requirements
    for name in names:
        if name not in headers:
            case.report(rules["complete"], f"headers.{name}", "all of " + ", ".join(names), "no such header")
    if case.envelope.payload:
        case.report(rules["empty"], "payload", "no bytes", f"{len(case.envelope.payload)} bytes")


def judge_domain_headers(case: Case, domain: DomainRule) -> None:
    """The headers that only this domain requires are there (D15, D25)."""
    for name, requirement in domain.required_headers.items():
        if name not in case.envelope.headers:
            case.report(requirement, f"headers.{name}", "a value", "no such header")
    if domain.dedupe_key and "dedupe_key" not in case.envelope.headers:
        case.report(
            case.contract.key_requirements["dedupe"],
            "headers.dedupe_key",
            domain.dedupe_key,
            "no such header",
        )


def well_formed(rule: HeaderRule, value: str) -> bool:
    """Whether a value has the form that its header must have."""
    return rule.pattern.fullmatch(value) is not None and not (rule.date_time and not _exists(value))


def well_advised(rule: HeaderRule, value: str) -> bool:
    """Whether a value has the form that its header should have."""
    return rule.recommended is None or rule.recommended.fullmatch(value) is not None


def _exists(text: str) -> bool:
    """Whether a well-formed time stamp names a day of the calendar."""
    try:
        datetime.fromisoformat(text[:10])
    except ValueError:
        return False
    return True
