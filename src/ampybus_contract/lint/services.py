"""The service map: what is read and never written, and what lies outside the declared domains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ampybus_contract.contract import Contract
from ampybus_contract.contract.yaml_source import Source
from ampybus_contract.errors import SpecProblem


def service_problems(sources: Mapping[str, list[Source]], contract: Contract) -> Iterator[SpecProblem]:
    """Patterns that nobody publishes to, and patterns outside one declared domain.

    A pattern with a wildcard for its domain straddles domains: the permissions made from it would open topics
    that nobody named.
    """
    (source,) = sources["services"]
    services = source.data["services"]
    published = [pattern for item in services.values() for pattern in item["publishes"]]
    for name, item in services.items():
        for kind in ("publishes", "reads"):
            for index, pattern in enumerate(item[kind]):
                path = f"/services/{name}/{kind}/{index}"
                domain = pattern.split(".")[0]
                if domain not in contract.domains:
                    known = ", ".join(contract.domains)
                    yield source.problem(
                        path, f"one of the domains {known}", repr(domain), "name one of them"
                    )
                elif kind == "reads" and not any(overlap(pattern, other) for other in published):
                    fix = "name who publishes it, or read something else"
                    yield source.problem(path, "a topic that a service publishes", repr(pattern), fix)


def overlap(one: str, other: str) -> bool:
    """Whether a topic can fall under both patterns; ``*`` is one token, a last ``>`` one or more."""
    left, right = one.split("."), other.split(".")
    while left and right:
        if ">" in (left[0], right[0]):
            return True
        if left[0] != right[0] and "*" not in (left[0], right[0]):
            return False
        left, right = left[1:], right[1:]
    return not left and not right
