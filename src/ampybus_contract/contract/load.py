"""Load ``spec/`` into a Contract, reporting every problem at once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from ampybus_contract.contract.model import (
    CheckRule,
    Component,
    Contract,
    DeadLetterRule,
    DomainRule,
    HeaderRule,
    PayloadRule,
    PayloadType,
    Requirement,
    RetryRule,
    SampleRule,
    TopicRule,
)
from ampybus_contract.contract.yaml_source import Source, read_yaml
from ampybus_contract.errors import SpecError, SpecProblem


def data_directory(name: str) -> Path:
    """Where ``spec`` or ``golden`` lies: inside an installed wheel, else in the checkout."""
    package = Path(__file__).resolve().parents[1]
    shipped = package / "_data" / name
    return shipped if shipped.is_dir() else package.parents[1] / name


@cache
def default_contract() -> Contract:
    """The contract that ships with the package; loaded once per process."""
    return load_contract(data_directory("spec"))


def load_contract(directory: Path) -> Contract:
    """Read and check all files of a spec directory. Raises SpecError with every problem found."""
    problems: list[SpecProblem] = []
    files = {
        "contract": [directory / "contract.yaml"],
        "headers": [directory / "headers.yaml"],
        "delivery": [directory / "delivery.yaml"],
        "samples": [directory / "samples.yaml"],
        "checks": [directory / "checks.yaml"],
        "domain": sorted(directory.glob("domains/*.yaml")),
        "requirements": sorted(directory.glob("requirements/*.yaml")),
    }
    sources: dict[str, list[Source]] = {}
    for kind, paths in files.items():
        sources[kind] = []
        for path in paths:
            try:
                source = read_yaml(path, path.relative_to(directory).as_posix())
            except SpecError as error:
                problems += error.problems
            else:
                problems += schema_problems(source, kind)
                sources[kind].append(source)
    if not problems:
        everything = [source for group in sources.values() for source in group]
        problems += [problem for source in everything for problem in _pattern_problems(source)]
        problems += _reference_problems(sources, everything)
    if problems:
        raise SpecError(problems)
    return _build(sources)


def schema_problems(source: Source, kind: str) -> Iterator[SpecProblem]:
    """Where a file departs from ``schema/{kind}.schema.json``."""
    schema = json.loads((data_directory("spec") / "schema" / f"{kind}.schema.json").read_text())
    for error in Draft202012Validator(schema).iter_errors(source.data):
        path = "".join(f"/{part}" for part in error.absolute_path)
        expected = f"{error.validator} {json.dumps(error.validator_value)[:120]}"
        yield source.problem(path, expected, error.message[:200], f"compare with schema/{kind}.schema.json")


def _walk(value: Any, path: str = "") -> Iterator[tuple[str, str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield f"{path}/{key}", key, inner
            yield from _walk(inner, f"{path}/{key}")


def _pattern_problems(source: Source) -> Iterator[SpecProblem]:
    for path, key, value in _walk(source.data):
        if key in {"subtopic", "pattern"} or key.endswith("_pattern"):
            if not isinstance(value, str):
                continue
            try:
                re.compile(value)
            except re.error as error:
                yield source.problem(path, "a regular expression", str(error), "mend the pattern")


def _reference_problems(sources: Mapping[str, list[Source]], everything: list[Source]) -> list[SpecProblem]:
    problems: list[SpecProblem] = []
    known: dict[str, str] = {}
    for source in sources["requirements"]:
        for name in source.data["requirements"]:
            if name in known:
                got = f"{name}, also in {known[name]}"
                problems.append(source.problem(f"/requirements/{name}", "a new ID", got, "rename one"))
            known[name] = source.file
    for source in everything:
        if source not in (*sources["requirements"], *sources["checks"]):
            problems += [
                source.problem(path, "a declared requirement ID", repr(item), "declare it in requirements/")
                for path, item in _used_requirements(source)
                if item not in known
            ]
    for path, item in _listed_requirements(sources["checks"][0]):
        if item not in known:
            fix = "declare it in requirements/"
            problems.append(sources["checks"][0].problem(path, "a declared requirement ID", repr(item), fix))
    return problems + list(_domain_problems(sources["domain"]))


def _used_requirements(source: Source) -> Iterator[tuple[str, Any]]:
    for path, key, value in _walk(source.data):
        if key in ("required", "format", "requirement"):
            yield path, value
        elif key in ("requirements", "required_headers"):
            for name, item in value.items():
                yield f"{path}/{name}", item


def _listed_requirements(source: Source) -> Iterator[tuple[str, str]]:
    for name, check in source.data["checks"].items():
        for index, item in enumerate(check["requirements"]):
            yield f"/checks/{name}/requirements/{index}", item


def _domain_problems(domains: list[Source]) -> Iterator[SpecProblem]:
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


def _build(sources: Mapping[str, list[Source]]) -> Contract:
    common = sources["contract"][0].data
    headers = sources["headers"][0].data
    topic, payload = common["topic"], common["payload"]
    delivery = sources["delivery"][0].data
    retry, dlq = delivery["retry"], delivery["dlq"]
    return Contract(
        version=common["version"],
        topic=TopicRule(
            topic["prefix"],
            topic["minimum_tokens"],
            tuple(topic["environments"]),
            re.compile(topic["token_pattern"]),
            re.compile(topic["version_pattern"]),
            topic["requirements"],
        ),
        payload=PayloadRule(
            tuple(payload["content_encodings"]),
            payload["compress_above_bytes"],
            payload["sent_below_bytes"],
            payload["decoded_at_most_bytes"],
            payload["requirements"],
        ),
        key_separator=common["keys"]["separator"],
        key_requirements=common["keys"]["requirements"],
        pointer_headers=tuple(common["pointer"]["headers"]),
        pointer_requirements=common["pointer"]["requirements"],
        header_name=re.compile(headers["name_pattern"]),
        header_value=re.compile(headers["value_pattern"]),
        header_requirements=headers["requirements"],
        headers={name: _header(name, rule) for name, rule in headers["headers"].items()},
        domains={source.data["domain"]: _domain(source.data) for source in sources["domain"]},
        requirements={
            name: Requirement(name, **{**item, "checks": tuple(item["checks"])})
            for source in sources["requirements"]
            for name, item in source.data["requirements"].items()
        },
        retry=RetryRule(
            retry["attempts"],
            retry["backoff_initial_ms"] / 1000,
            retry["backoff_factor"],
            retry["backoff_max_ms"] / 1000,
            retry["jitter"],
        ),
        dead_letter=DeadLetterRule(
            dlq["topic"], dlq["headers"], dlq["codes"], frozenset(dlq["decode_requirements"])
        ),
        in_flight=delivery["in_flight"],
        effects_remembered=delivery["effects_remembered"],
        infrastructure_headers=frozenset(delivery["infrastructure_headers"]),
        samples={
            name: SampleRule(
                item["payload"],
                item["subtopic"],
                {part: tuple(values) for part, values in item["components"].items()},
                item["counter"],
                item["filler"],
            )
            for name, item in sources["samples"][0].data["domains"].items()
        },
        checks={
            name: CheckRule(
                name,
                item["chapter"],
                item["text"],
                item["claim"],
                tuple(item["requirements"]),
                tuple(item["mutants"]),
            )
            for name, item in sources["checks"][0].data["checks"].items()
        },
    )


def _header(name: str, rule: Mapping[str, Any]) -> HeaderRule:
    recommended = rule.get("recommended")
    return HeaderRule(
        name=name,
        required=rule.get("required"),
        format=rule["format"],
        pattern=re.compile(rule["pattern"]),
        example=rule["example"],
        date_time=rule.get("date_time", False),
        per_run=rule.get("per_run", False),
        recommended=re.compile(recommended["pattern"]) if recommended else None,
        recommended_requirement=recommended["requirement"] if recommended else None,
    )


def _domain(data: Mapping[str, Any]) -> DomainRule:
    return DomainRule(
        name=data["domain"],
        ordering=data["ordering"],
        subtopic=re.compile(data["subtopic"]),
        payloads={
            name: PayloadType(entry["item"], entry.get("when", {}), entry.get("choice"))
            for name, entry in data["payloads"].items()
        },
        aliases=data["aliases"],
        components={
            name: Component(entry.get("topic"), tuple(entry.get("paths", ())), entry.get("form", "text"))
            for name, entry in data["components"].items()
        },
        key=data.get("key"),
        key_without=data.get("key_without", {}).get("formula"),
        key_without_requirement=data.get("key_without", {}).get("requirement"),
        dedupe_key=data.get("dedupe_key"),
        required_headers=data.get("required_headers", {}),
        carries=data.get("carries"),
        payload_hash=data.get("payload_hash"),
    )
