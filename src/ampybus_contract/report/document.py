"""One conformance run as a value: what every form of the report is made from."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from ampybus_contract.brokers.location import without_credentials
from ampybus_contract.contract import Contract
from ampybus_contract.errors import ReportError
from ampybus_contract.harness.verdicts import Result, Verdict
from ampybus_contract.report.profiles import ProfileVerdict, profile_verdict

FORMAT = 1
SCHEMA = Path(__file__).with_name("schema") / "report.schema.json"


@dataclass(frozen=True, slots=True)
class Heading:
    """What was judged, where, and by which seed; broker, domain, profiles and effort as asked for.

    ``options`` are the words about the process of the binding.
    """

    binding: str
    broker: str | None
    broker_name: str
    settings: Mapping[str, str]
    seed: int
    domain: str | None = None
    profiles: tuple[str, ...] = ()
    effort: str = "default"
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Forget credentials: no form of the report may hold them."""
        object.__setattr__(self, "profiles", tuple(self.profiles))
        object.__setattr__(self, "options", tuple(self.options))
        if self.broker is not None:
            object.__setattr__(self, "broker", without_credentials(self.broker))


@dataclass(frozen=True, slots=True)
class Clause:
    """A requirement as the report quotes it."""

    id: str
    level: str
    clause: str
    text: str


@dataclass(frozen=True, slots=True)
class Judged:
    """One check with its verdict; ``evidence`` as in ``harness.verdicts``, ``again`` is a command line.

    ``optional``: not claimed, and its profile lets that be. ``measured`` as in ``harness.measurements``.
    ``seconds`` is how long judging it took in real time; None where nobody looked at a clock.
    """

    id: str
    chapter: str
    text: str
    verdict: Verdict
    reason: str
    requirements: tuple[Clause, ...]
    evidence: tuple[Mapping[str, Any], ...]
    again: str
    profile: str = ""
    optional: bool = False
    measured: tuple[Mapping[str, Any], ...] = ()
    seconds: float | None = None

    def series(self, name: str) -> Mapping[str, Any] | None:
        """What was measured under that name, or None."""
        return next((item for item in self.measured if item["name"] == name), None)


@dataclass(frozen=True, slots=True)
class RunReport:
    """A run: the contract with the SHA-256 of its files, the heading, and each check with a suite.

    ``started_at`` is an RFC 3339 instant in UTC; ``planned`` counts the checks that have no suite yet,
    ``planned_in`` those of each profile that has some.
    """

    contract_version: str
    spec_digest: str
    started_at: str
    heading: Heading
    expected: int
    planned: int
    checks: tuple[Judged, ...]
    planned_in: Mapping[str, int] = field(default_factory=dict)

    @property
    def counts(self) -> Counter[Verdict]:
        """How many checks ended in each verdict."""
        return Counter(item.verdict for item in self.checks)

    @property
    def reconciles(self) -> bool:
        """Whether every check that should have a verdict has exactly one."""
        return len({item.id for item in self.checks}) == len(self.checks) == self.expected

    @property
    def profiles(self) -> Mapping[str, ProfileVerdict]:
        """What the run says of each profile, in the order of the spec; none for reports from before them."""
        names = dict.fromkeys(item.profile for item in self.checks if item.profile)
        return {
            name: profile_verdict(
                [item for item in self.checks if item.profile == name], self.planned_in.get(name, 0)
            )
            for name in names
        }

    @property
    def chapters(self) -> list[str]:
        """The chapters in the order of the spec."""
        return list(dict.fromkeys(item.chapter for item in self.checks))

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as ``schema/report.schema.json`` says."""
        counts = {str(verdict): self.counts[verdict] for verdict in Verdict}
        profiles = {name: str(verdict) for name, verdict in self.profiles.items()}
        return {"format": FORMAT, **asdict(self), "counts": counts, "profiles": profiles}


def run_report(
    contract: Contract,
    digest: str,
    started_at: str,
    heading: Heading,
    results: Sequence[Result],
    seconds: Mapping[str, float] | None = None,
) -> RunReport:
    """Join results with what the contract says of their checks, in the order of the spec.

    ``seconds`` are how long checks took, by their ids.
    """
    by_check = {result.check: result for result in results}
    judged = tuple(
        Judged(
            name,
            rule.chapter,
            rule.text,
            by_check[name].verdict,
            by_check[name].reason,
            tuple(
                Clause(item.id, item.level, item.clause, item.text)
                for item in map(contract.requirements.__getitem__, rule.requirements)
            ),
            by_check[name].evidence,
            again(heading, by_check[name].seen_in or name),
            contract.profile_of(name).name,
            by_check[name].unclaimed in contract.profile_of(name).may_lack,
            by_check[name].measured,
            (seconds or {}).get(name),
        )
        for name, rule in contract.judged.items()
        if name in by_check
    )
    expected = len(contract.judged)
    planned = len(contract.checks) - expected
    without = (contract.profile_of(name).name for name in contract.checks if name not in contract.judged)
    return RunReport(
        contract.version, digest, started_at, heading, expected, planned, judged, dict(Counter(without))
    )


def again(heading: Heading, check: str) -> str:
    """The command line that judges one check again."""
    words = ["pytest", "--ampybus-conformance", "--ampybus-binding", heading.binding]
    if heading.broker:
        words += ["--ampybus-broker", heading.broker]
    if heading.domain:
        words += ["--ampybus-domain", heading.domain]
    if heading.effort != "default":
        words += ["--ampybus-effort", heading.effort]
    words += heading.options
    words += ["--ampybus-seed", str(heading.seed), "-k", check]
    return shlex.join(words)


def read_report(path: Path) -> RunReport:
    """Read a JSON report. Raises ReportError where the file is none."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        fix = "name a file that --ampybus-report wrote as .json"
        raise ReportError(f"REPORT expected a JSON report, got {error} at {path}. Fix: {fix}") from error
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    for problem in Draft202012Validator(schema).iter_errors(data):
        place = "".join(f"/{part}" for part in problem.absolute_path) or "/"
        raise ReportError(
            f"REPORT expected a report of format {FORMAT}, got {problem.message[:200]} at {path} ({place}). "
            "Fix: write it anew with this version"
        )
    return _from_dict(data)


def _from_dict(data: Mapping[str, Any]) -> RunReport:
    checks = tuple(
        Judged(
            **{
                **item,
                "verdict": Verdict(item["verdict"]),
                "requirements": tuple(Clause(**clause) for clause in item["requirements"]),
                "evidence": tuple(item["evidence"]),
                "measured": tuple(item.get("measured", ())),
            }
        )
        for item in data["checks"]
    )
    return RunReport(
        data["contract_version"],
        data["spec_digest"],
        data["started_at"],
        Heading(**data["heading"]),
        data["expected"],
        data["planned"],
        checks,
        data.get("planned_in", {}),
    )
