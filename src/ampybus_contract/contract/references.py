"""What a schema cannot say of spec files: patterns that do not compile, names that lead nowhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ampybus_contract.contract.backtracking import compiles, explosive, patterns
from ampybus_contract.contract.yaml_source import Source
from ampybus_contract.errors import SpecProblem

DECLARED = "a declared requirement ID"


def _walk(value: Any, path: str = "") -> Iterator[tuple[str, str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield f"{path}/{key}", key, inner
            yield from _walk(inner, f"{path}/{key}")


NONE = "none"
"""In place of a name: the domain has none."""


def pattern_problems(source: Source) -> Iterator[SpecProblem]:
    """Patterns that are no regular expressions, and those that foreign texts could keep busy for ever."""
    for path, pattern in patterns(source.data):
        if (wrong := compiles(pattern)) is not None:
            yield source.problem(path, "a regular expression", wrong, "mend the pattern")
        elif (why := explosive(pattern)) is not None:
            fix = "write it so that each text can be matched in one way only"
            yield source.problem(path, "a pattern without exponential backtracking", why, fix)


def _requirement_problems(sources: Mapping[str, list[Source]]) -> Iterator[SpecProblem]:
    """Requirements that are declared twice, and names of requirements that nobody declares."""
    known: dict[str, str] = {}
    for source in sources["requirements"]:
        for name in source.data["requirements"]:
            if name in known:
                got = f"{name}, also in {known[name]}"
                yield source.problem(f"/requirements/{name}", "a new ID", got, "rename one")
            known[name] = source.file
    fix = "declare it in requirements/"
    for kind, group in sources.items():
        if kind in ("requirements", "checks", "payloads", "overlay"):
            continue
        for source in group:
            for path, item in used_requirements(source):
                if item not in known:
                    yield source.problem(path, DECLARED, repr(item), fix)
    for path, item in _listed_requirements(sources["checks"][0]):
        if item not in known:
            yield sources["checks"][0].problem(path, DECLARED, repr(item), fix)


def _name_problems(sources: Mapping[str, list[Source]]) -> Iterator[SpecProblem]:
    """Policies, reason codes, metrics and labels that are named and not declared."""
    chapter = {name: found[0] for name, found in sources.items() if name not in ("domain", "requirements")}
    retention, latency = chapter["replay"].data["retention"], chapter["slo"].data["latency"]
    declared = {
        "tier": chapter["delivery"].data["tiers"],
        "replay": {*chapter["replay"].data["scopes"], NONE},
        "retention": retention,
        "latency": {*latency, NONE},
        "personal_data": chapter["security"].data["personal_data"],
    }
    for source in sources["domain"]:
        for field, names in declared.items():
            if source.data[field] not in names:
                yield source.problem(
                    f"/{field}", f"one of {', '.join(sorted(names))}", repr(source.data[field]), "declare it"
                )
    reasons, metrics = chapter["delivery"].data["reasons"], chapter["metrics"].data
    headers = chapter["headers"].data["headers"]
    used = [
        ("pointer", "/on_mismatch", reasons),
        ("pointer", "/on_missing", reasons),
        ("backpressure", "/lag/metric", metrics["metrics"]),
        ("replay", "/header", headers),
        ("replay", "/window/header", headers),
        ("tracing", "/propagates", headers),
        ("bindings", "/nats/deduplication/value", headers),
        ("bindings", "/kafka/key", headers),
        ("bindings", "/kafka/topic_header", headers),
    ]
    for name, path, names in used:
        value = _at(chapter[name].data, path)
        if value not in names:
            yield chapter[name].problem(path, "a declared name", repr(value), "declare it")
    for name, metric in metrics["metrics"].items():
        for index, label in enumerate(metric["labels"]):
            if label not in metrics["labels"]:
                path = f"/metrics/{name}/labels/{index}"
                yield chapter["metrics"].problem(path, "a declared label", repr(label), "declare it")


def _at(data: Any, path: str) -> Any:
    for part in path.strip("/").split("/"):
        data = data[part]
    return data


def used_requirements(source: Source) -> Iterator[tuple[str, Any]]:
    """The requirements that the rules of a file are judged under, each with its path."""
    for path, key, value in _walk(source.data):
        if key in ("required", "format", "requirement"):
            yield path, value
        elif key in ("requirements", "required_headers"):
            for name, item in value.items():
                yield f"{path}/{name}", item


def _listed_requirements(source: Source) -> Iterator[tuple[str, str]]:
    for name, check in source.data["checks"].items():
        for index, item in enumerate(check.get("requirements", ())):
            yield f"/checks/{name}/requirements/{index}", item


def _unknown_checks(sources: Mapping[str, list[Source]]) -> Iterator[SpecProblem]:
    checks = sources["checks"][0].data["checks"]
    for source in sources["requirements"]:
        for name, item in source.data["requirements"].items():
            for index, check in enumerate(item.get("checks", ())):
                if check not in checks:
                    path = f"/requirements/{name}/checks/{index}"
                    yield source.problem(path, "a declared check", repr(check), "declare it in checks.yaml")
            if name in checks:
                path = f"/requirements/{name}"
                yield source.problem(path, "an ID that no check has", name, "give it another prefix")


def _profile_problems(sources: Mapping[str, list[Source]]) -> Iterator[SpecProblem]:
    """Chapters that belong to no profile or to several, and profiles of chapters that no check has."""
    source = sources["checks"][0]
    checks, profiles = source.data["checks"], source.data["profiles"]
    there = {check["chapter"] for check in checks.values()}
    listed = [chapter for profile in profiles.values() for chapter in profile["chapters"]]
    for name, check in checks.items():
        if check["chapter"] not in listed:
            path = f"/checks/{name}/chapter"
            yield source.problem(path, "a chapter of a profile", repr(check["chapter"]), "add it to one")
    for name, profile in profiles.items():
        for index, chapter in enumerate(profile["chapters"]):
            path = f"/profiles/{name}/chapters/{index}"
            if chapter not in there:
                yield source.problem(path, "a chapter that checks have", repr(chapter), "mend the name")
            if listed.count(chapter) > 1:
                yield source.problem(path, "a chapter listed once", repr(chapter), "keep it in one profile")
    for name, profile in profiles.items():
        claims = {item["claim"] for item in checks.values() if item["chapter"] in profile["chapters"]}
        for index, claim in enumerate(profile["may_lack"]):
            if claim not in claims:
                path = f"/profiles/{name}/may_lack/{index}"
                yield source.problem(path, "a claim of the profile's checks", repr(claim), "remove it")


def _domain_problems(sources: Mapping[str, list[Source]]) -> Iterator[SpecProblem]:
    domains = sources["domain"]
    names = [source.data["domain"] for source in domains]
    for source in domains:
        name = source.data["domain"]
        if names.count(name) > 1:
            yield source.problem("/domain", "a domain declared once", repr(name), "rename one")
        formulas = {field: source.data.get(field, "") for field in ("key", "dedupe_key")}
        formulas["key_without/formula"] = source.data.get("key_without", {}).get("formula", "")
        for field, formula in formulas.items():
            for component in re.findall(r"\{([^}]*)\}", formula):
                if component not in source.data["components"]:
                    yield source.problem(f"/{field}", "declared components", component, "declare it")


REFERENCE_RULES = (
    _requirement_problems,
    _unknown_checks,
    _profile_problems,
    _domain_problems,
    _name_problems,
)
"""What is looked for in all files together: names that are used and not declared, or declared twice."""
