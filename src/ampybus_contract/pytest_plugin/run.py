"""One conformance run inside a pytest session."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from shutil import get_terminal_size
from typing import Any

import pytest

from ampybus_contract.brokers.simulation import read_schedule
from ampybus_contract.contract import Contract, data_directory, default_contract, load_contract
from ampybus_contract.contract.digest import spec_digest
from ampybus_contract.errors import AmpyBusError, TargetError
from ampybus_contract.exit_codes import FINDINGS, INCONCLUSIVE, INTERNAL, USAGE
from ampybus_contract.harness.verdicts import NOT_RUN, Result, Verdict, worst
from ampybus_contract.pytest_plugin.deviations import read_deviations, stale
from ampybus_contract.pytest_plugin.isolation import Isolation
from ampybus_contract.pytest_plugin.progress import LiveProgress, wanted
from ampybus_contract.pytest_plugin.targets import binding_factory
from ampybus_contract.report.annotations import annotated
from ampybus_contract.report.document import Heading, RunReport, run_report
from ampybus_contract.report.forms import form_of, write_report
from ampybus_contract.report.terminal import folded, render

PROPERTY = "ampybus"
HEADING = "ampybus-heading"
PROGRESS = "ampybus-progress"


class ConformanceRun:
    """Collects the suites, gives them their judge, and reports."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.binding: str = config.getoption("ampybus_binding")
        self.broker: str | None = config.getoption("ampybus_broker")
        self.seed: int = config.getoption("ampybus_seed")
        self.recovery: float = config.getoption("ampybus_recovery")
        self.effort: str = config.getoption("ampybus_effort")
        self.files = [Path(name) for name in config.getoption("ampybus_report")]
        histories = config.getoption("ampybus_history")
        self.histories = Path(histories) if histories else None
        self.started_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        directory = config.getoption("ampybus_spec")
        try:
            self.domain: str | None = config.getoption("ampybus_domain")
            whole = load_contract(Path(directory)) if directory else default_contract()
            self.contract = _preferring(whole, self.domain) if self.domain else whole
            self.digest = spec_digest(Path(directory) if directory else data_directory("spec"))
            self.profiles = _known_profiles(config.getoption("ampybus_profile"), self.contract)
            if not self.recovery > 0:
                raise TargetError(
                    f"TARGET expected seconds for --ampybus-recovery, got {self.recovery:g}. "
                    "Fix: name a time above 0"
                )
            self.isolation = Isolation(
                config.getoption("ampybus_in_process"),
                config.getoption("ampybus_memory"),
                tuple(config.getoption("ampybus_env")),
            )
            self.factory = binding_factory(self.binding, self.contract, self.isolation)
            schedule = config.getoption("ampybus_schedule")
            self.schedule = read_schedule(Path(schedule)) if schedule else None
            for path in self.files:
                form_of(path)
            name = config.getoption("ampybus_deviations")
            today = datetime.now(UTC).date()
            self.deviations = read_deviations(Path(name), self.contract, today) if name else []
        except AmpyBusError as error:
            pytest.exit(str(error), returncode=USAGE)
        self.results: dict[str, Result] = {}
        self.seconds: dict[str, float] = {}
        self.deselected: set[str] = set()
        self.collected: set[str] = set()
        self.broken: list[str] = []
        self.stale: list[str] = []
        self.heading: Heading | None = None
        suites = [str(path) for path in sorted(data_directory("conformance").glob("test_*.py"))]
        given = config.args_source is pytest.Config.ArgsSource.ARGS
        config.args[:] = [*config.args, *suites] if given else suites

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Say what runs now, where a person watches."""
        plugins = session.config.pluginmanager
        reporter: pytest.TerminalReporter | None = plugins.get_plugin("terminalreporter")
        if reporter is not None and wanted(session.config, reporter):
            texts = {name: rule.text for name, rule in self.contract.judged.items()}
            plugins.register(LiveProgress(reporter, texts), PROGRESS)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Let ``-k ENV-01`` select by check, and leave out the checks of profiles not asked for."""
        left_out = []
        for item in items:
            mark = item.get_closest_marker("ampybus")
            if mark is not None:
                item.extra_keyword_matches.add(mark.args[0])
                if self.profiles and self.contract.profile_of(mark.args[0]).name not in self.profiles:
                    left_out.append(item)
        if left_out:
            self.config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if item not in left_out]

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Note what was not asked for."""
        self.deselected |= _checks(items)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note what will run."""
        self.collected |= _checks(session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Hear from a worker of xdist what it collected: nobody else collects then."""
        said = getattr(node, "workeroutput", {}).get(PROPERTY, {})
        self.deselected |= set(said.get("deselected", ()))
        self.collected |= set(said.get("collected", ()))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take each verdict from the test's report, so that it also comes from another process."""
        values = dict(report.user_properties)
        if isinstance(heading := values.get(HEADING), dict):
            self.heading = Heading(**heading)
        found = values.get(PROPERTY)
        if isinstance(found, dict):
            result = Result.from_dict(found)
            self.results = worst([*self.results.values(), result, *result.also])
            if report.when == "call":
                self.seconds[found["check"]] = round(report.duration, 3)
        if report.failed and not found:
            self.broken.append(report.nodeid)

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None]:
        """Complete the table and set the documented exit code."""
        if hasattr(self.config, "workeroutput"):
            said = {"deselected": sorted(self.deselected), "collected": sorted(self.collected)}
            self.config.workeroutput[PROPERTY] = said
        for check in self.contract.judged:
            self.results.setdefault(check, self._without_verdict(check))
        verdicts = {result.verdict for result in self.results.values()}
        self.stale = list(stale(self.deviations, self.results))
        if session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            if self.broken:
                session.exitstatus = INTERNAL
            elif Verdict.FAIL in verdicts or self.stale or session.exitstatus == pytest.ExitCode.TESTS_FAILED:
                session.exitstatus = FINDINGS
            elif Verdict.INCONCLUSIVE in verdicts:
                session.exitstatus = INCONCLUSIVE
        elif session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            session.exitstatus = USAGE
        return (yield)

    def _without_verdict(self, check: str) -> Result:
        """The result of a check that did not run. ``--lf`` leaves out whole files without a word."""
        passed_over = self.config.getoption("lf", False) and check not in self.collected
        if check in self.deselected or passed_over:
            return Result(check, Verdict.DESELECTED)
        return Result(check, Verdict.INCONCLUSIVE, NOT_RUN)

    def report(self) -> RunReport | None:
        """The run as a value, or None where no check came as far as a broker."""
        if self.heading is None:
            return None
        results = list(self.results.values())
        return run_report(self.contract, self.digest, self.started_at, self.heading, results, self.seconds)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the report, and write the files that were asked for."""
        made = self.report()
        if made is None:
            return
        lines: Iterable[str] = (*render(made), *self.stale)
        if terminalreporter.isatty:
            lines = folded(lines, get_terminal_size().columns)
        for line in lines:
            terminalreporter.write_line(line)
        if os.environ.get("GITHUB_ACTIONS") == "true":
            for line in annotated(made):
                terminalreporter.write_line(line)
        for path in self.files:
            try:
                write_report(made, path)
            except AmpyBusError as error:
                terminalreporter.write_line(str(error), red=True)
            else:
                terminalreporter.write_line(f"report: {path}")


def _checks(items: Iterable[pytest.Item]) -> set[str]:
    """The checks that tests are marked with."""
    marks = [item.get_closest_marker("ampybus") for item in items]
    return {mark.args[0] for mark in marks if mark is not None}


def _known_profiles(words: str, contract: Contract) -> tuple[str, ...]:
    """The profiles that were asked for; none means all. Raises TargetError for an undeclared one."""
    names = tuple(word.strip() for word in words.split(",") if word.strip())
    for name in names:
        if name not in contract.profiles:
            known = ", ".join(contract.profiles)
            raise TargetError(
                f"TARGET expected profiles of {known}, got {name!r}. Fix: choose among these, with commas"
            )
    return names


def _preferring(contract: Contract, domain: str) -> Contract:
    """The contract with a domain's samples before all others. Raises TargetError where it has none."""
    if domain not in contract.samples:
        known = ", ".join(contract.samples)
        raise TargetError(
            f"TARGET expected a domain with samples, one of {known}, got {domain!r}. "
            "Fix: add it to samples.yaml"
        )
    return replace(contract, samples={domain: contract.samples[domain], **contract.samples})
