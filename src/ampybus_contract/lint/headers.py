"""Examples that their own rule refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ampybus_contract.contract import Contract
from ampybus_contract.contract.yaml_source import Source
from ampybus_contract.errors import SpecProblem


def example_problems(sources: Mapping[str, list[Source]], contract: Contract) -> Iterator[SpecProblem]:
    """Examples of headers and of personal data that their pattern does not match."""
    (headers,), (privacy,) = sources["headers"], sources["privacy"]
    for name, rule in contract.headers.items():
        for pattern in (rule.pattern, rule.recommended):
            if pattern is not None and not pattern.fullmatch(rule.example):
                path = f"/headers/{name}/example"
                yield headers.problem(path, pattern.pattern, repr(rule.example), "mend example or pattern")
    for detector in contract.privacy.detectors:
        path = f"/detectors/{detector.name}/example"
        for pattern in (detector.pattern, contract.privacy.screen):
            if not pattern.search(detector.example):
                yield privacy.problem(
                    path, pattern.pattern, repr(detector.example), "mend example or pattern"
                )
