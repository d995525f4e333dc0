"""Profiles are data of the spec; one is passed only where its checks leave no doubt."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from ampybus_contract.contract import default_contract, load_contract
from ampybus_contract.errors import SpecError
from ampybus_contract.harness.verdicts import Result, Verdict
from ampybus_contract.report.document import Heading, RunReport, read_report, run_report
from ampybus_contract.report.forms import write_report
from ampybus_contract.report.profiles import ProfileVerdict, profile_verdict
from ampybus_contract.report.statement import badge, statement, verdict
from ampybus_contract.report.terminal import render

CONTRACT = default_contract()


@dataclass(frozen=True)
class Entry:
    verdict: Verdict
    optional: bool = False


def made(changes: dict[str, Result] | None = None, profiles: tuple[str, ...] = ()) -> RunReport:
    results = {name: Result(name, Verdict.PASS) for name in CONTRACT.judged} | (changes or {})
    heading = Heading("b", None, "NATS", {}, 1, profiles=profiles)
    return run_report(CONTRACT, f"sha256:{'0' * 64}", "2026-01-02T03:04:05Z", heading, list(results.values()))


def deselected(but: str) -> dict[str, Result]:
    return {
        name: Result(name, Verdict.DESELECTED)
        for name in CONTRACT.judged
        if CONTRACT.profile_of(name).name != but
    }


def test_each_check_is_in_exactly_one_profile() -> None:
    for name, rule in CONTRACT.checks.items():
        (profile,) = [item.name for item in CONTRACT.profiles.values() if rule.chapter in item.chapters]
        assert CONTRACT.profile_of(name).name == profile


@pytest.mark.parametrize(
    ("found", "replaced", "expected"),
    [
        ("chapters: [Faults]", "chapters: [Orders]", "a chapter of a profile"),
        ("chapters: [Faults]", "chapters: [Orders]", "a chapter that checks have"),
        ("chapters: [Faults]", "chapters: [Faults, Security]", "a chapter listed once"),
        ("may_lack: [pointer]", "may_lack: [retry]", "a claim of the profile's checks"),
    ],
)
def test_a_spec_whose_profiles_do_not_fit_is_refused(
    spec_copy: Path, found: str, replaced: str, expected: str
) -> None:
    path = spec_copy / "checks.yaml"
    path.write_text(path.read_text().replace(found, replaced))
    with pytest.raises(SpecError) as caught:
        load_contract(spec_copy)
    assert expected in {item.expected for item in caught.value.problems}


@pytest.mark.parametrize(
    ("verdicts", "word"),
    [
        ([Entry(Verdict.PASS)], ProfileVerdict.PASSED),
        ([Entry(Verdict.PASS), Entry(Verdict.NOT_CLAIMED, optional=True)], ProfileVerdict.PASSED),
        ([Entry(Verdict.PASS), Entry(Verdict.NOT_CLAIMED)], ProfileVerdict.INCOMPLETE),
        ([Entry(Verdict.PASS), Entry(Verdict.DEVIATION)], ProfileVerdict.DEVIATES),
        ([Entry(Verdict.PASS), Entry(Verdict.INCONCLUSIVE)], ProfileVerdict.INCONCLUSIVE),
        ([Entry(Verdict.PASS), Entry(Verdict.DESELECTED)], ProfileVerdict.INCONCLUSIVE),
        ([Entry(Verdict.INCONCLUSIVE), Entry(Verdict.FAIL)], ProfileVerdict.FAILED),
        ([Entry(Verdict.DESELECTED)], ProfileVerdict.NOT_RUN),
        ([Entry(Verdict.NOT_CLAIMED)], ProfileVerdict.NOT_CLAIMED),
        ([Entry(Verdict.NOT_CLAIMED, optional=True)], ProfileVerdict.NOT_CLAIMED),
    ],
)
def test_a_profile_is_passed_only_without_doubt(verdicts: list[Entry], word: ProfileVerdict) -> None:
    assert profile_verdict(verdicts) is word


def test_a_profile_with_a_check_that_has_no_suite_is_not_passed() -> None:
    assert profile_verdict([Entry(Verdict.PASS)], planned=1) is ProfileVerdict.INCOMPLETE
    assert profile_verdict([Entry(Verdict.FAIL)], planned=1) is ProfileVerdict.FAILED


def test_a_profile_may_lack_only_what_the_contract_names() -> None:
    kill = Result("FLT-01", Verdict.NOT_CLAIMED, unclaimed="kill")
    by_broker = Result("FLT-01", Verdict.NOT_CLAIMED)
    assert made({"FLT-01": kill}).profiles["resilience"] is ProfileVerdict.PASSED
    assert made({"FLT-01": by_broker}).profiles["resilience"] is ProfileVerdict.INCOMPLETE
    dlq = Result("DLQ-04", Verdict.NOT_CLAIMED, unclaimed="dlq")
    assert made({"DLQ-04": dlq}).profiles["delivery"] is ProfileVerdict.INCOMPLETE


def test_profiles_are_in_the_terminal_the_statement_the_badge_and_the_file(tmp_path: Path) -> None:
    run = made({"DLQ-04": Result("DLQ-04", Verdict.FAIL)})
    assert any("core incomplete, delivery failed" in line for line in render(run))
    assert any(re.match(r"profile +delivery +failed, of \d+ checks", line) for line in statement(run))
    assert badge(run)["message"] == "not conformant"
    assert str(badge(made())["message"]).startswith("delivery, resilience")
    for name in ("run.json", "run.html"):
        write_report(run, tmp_path / name)
    assert json.loads((tmp_path / "run.json").read_text())["profiles"]["delivery"] == "failed"
    assert read_report(tmp_path / "run.json") == run
    assert "profile delivery" in (tmp_path / "run.html").read_text()


def test_a_run_of_one_profile_speaks_for_that_profile_only() -> None:
    run = made(deselected(but="resilience"), ("resilience",))
    assert verdict(run) == "conformant in resilience"
    assert str(badge(run)["message"]).startswith("resilience (")
    assert verdict(made(deselected(but="resilience"))) == "inconclusive"
    assert verdict(made(deselected(but="resilience"), ("resilience", "delivery"))) == "inconclusive"
    gone = {"FLT-06": Result("FLT-06", Verdict.NOT_CLAIMED)}
    assert verdict(made(deselected(but="resilience") | gone, ("resilience",))) == "resilience incomplete"


@pytest.mark.subprocess
@pytest.mark.parametrize(("words", "code"), [("core, security", 0), ("cor", 2)])
def test_the_option_selects_profiles(pytester: pytest.Pytester, words: str, code: int) -> None:
    done = pytester.runpytest_subprocess("--ampybus-conformance", f"--ampybus-profile={words}")
    assert done.ret == code
    text = done.stdout.str() + done.stderr.str()
    if code:
        assert "expected profiles of core, delivery" in text
    else:
        assert "core incomplete, delivery not run" in text
