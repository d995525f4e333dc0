"""What a run lets one say: a conformance statement and a badge."""

from __future__ import annotations

from collections.abc import Iterator

from ampybus_contract.harness.verdicts import Verdict
from ampybus_contract.report.document import RunReport
from ampybus_contract.report.profiles import ProfileVerdict
from ampybus_contract.report.terminal import summed


def statement(run: RunReport) -> Iterator[str]:
    """The lines of the statement: what was judged by what, on what, with which result."""
    heading, word = run.heading, verdict(run)
    yield f"ampy-bus conformance statement: {word}"
    yield ""
    yield f"binding    {heading.binding}"
    yield f"contract   ampy-bus {run.contract_version}, spec {run.spec_digest}"
    yield f"broker     {heading.broker_name}"
    for name, value in heading.settings.items():
        yield f"           {name} {value}"
    yield f"seed       {heading.seed}"
    yield f"effort     {heading.effort}"
    yield f"judged at  {run.started_at}"
    for name, profile in run.profiles.items():
        count = sum(item.profile == name for item in run.checks)
        yield f"profile    {name:<14} {profile}, of {count} checks"
    yield f"checks     {summed(run)}"
    for kind in Verdict:
        if kind is Verdict.PASS:
            continue
        names = [item.id for item in run.checks if item.verdict is kind]
        if names:
            yield f"{kind + ':':<14} {' '.join(names)}"


def verdict(run: RunReport) -> str:
    """Conformant only where every check was judged, none failed and at least one passed.

    Where profiles were asked for, every check of these must be judged, and each of them passed.
    """
    counts = run.counts
    if counts[Verdict.FAIL]:
        return "not conformant"
    asked = set(run.heading.profiles)
    left = any(
        item.verdict is Verdict.DESELECTED and (not asked or item.profile in asked) for item in run.checks
    )
    if counts[Verdict.INCONCLUSIVE] or left or not run.reconciles:
        return "inconclusive"
    if counts[Verdict.DEVIATION]:
        return "conformant but for known deviations"
    if asked:
        words = {name: str(run.profiles.get(name, ProfileVerdict.NOT_RUN)) for name in run.heading.profiles}
        if set(words.values()) == {ProfileVerdict.PASSED}:
            return f"conformant in {', '.join(words)}"
        return ", ".join(f"{name} {word}" for name, word in words.items())
    return "conformant in what it claims" if counts[Verdict.PASS] else "nothing claimed"


def badge(run: RunReport) -> dict[str, object]:
    """The badge as shields.io reads it from an endpoint."""
    word = verdict(run)
    passed, total = run.counts[Verdict.PASS], run.expected
    good = word.startswith("conformant in ")
    color = "brightgreen" if good else "red" if word == "not conformant" else "lightgrey"
    profiles = [name for name, found in run.profiles.items() if found is ProfileVerdict.PASSED]
    message = f"{', '.join(profiles) or 'no profile'} ({passed} of {total} checks)" if good else word
    return {"schemaVersion": 1, "label": "ampy-bus", "message": message, "color": color}
