"""The fixtures that the suites ask for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import pytest

from ampybus_contract.errors import AmpyBusError
from ampybus_contract.exit_codes import USAGE
from ampybus_contract.harness.checkers import Checker
from ampybus_contract.harness.judge import Judge
from ampybus_contract.harness.schedules import EFFORTS, Scenario, Scheduled
from ampybus_contract.harness.verdicts import Verdict
from ampybus_contract.pytest_plugin import ConformanceCheck
from ampybus_contract.pytest_plugin.brokers import broker
from ampybus_contract.pytest_plugin.deviations import known
from ampybus_contract.pytest_plugin.run import HEADING, PROGRESS, PROPERTY, ConformanceRun
from ampybus_contract.report.document import Heading, again

FAILING = Path(".ampybus")
"""Where schedules that failed are saved, below the working directory."""


@pytest.fixture(scope="session")
def ampybus_judge(request: pytest.FixtureRequest) -> Iterator[Judge]:
    """The judge of this run, with its broker; ends the run where the broker cannot be had."""
    run = _run(request)
    context = broker(run.broker, run.binding, run.contract)
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    aloud = capture.global_and_fixture_disabled() if capture is not None else nullcontext()
    progress = request.config.pluginmanager.get_plugin(PROGRESS)
    away = progress.hidden() if progress is not None else nullcontext()
    try:
        with away, aloud:
            opened = context.__enter__()
    except AmpyBusError as error:
        pytest.exit(str(error), returncode=USAGE)
    try:
        run.heading = Heading(
            run.binding,
            run.broker,
            opened.name,
            dict(opened.settings),
            run.seed,
            run.domain,
            run.profiles,
            run.effort,
            run.isolation.words(),
        )
        yield Judge(
            run.contract,
            opened,
            run.factory,
            run.seed,
            recovery=run.recovery,
            name=run.binding,
            histories=run.histories,
            schedule=run.schedule,
            effort=EFFORTS[run.effort],
            failing=FAILING,
            again=partial(again, run.heading),
        )
    finally:
        context.__exit__(None, None, None)


@pytest.fixture
def ampybus(ampybus_judge: Judge, request: pytest.FixtureRequest) -> ConformanceCheck:
    """Judge the check that the test is marked with."""
    mark = request.node.get_closest_marker("ampybus")
    if mark is None:
        raise pytest.UsageError("a test that asks for 'ampybus' needs @pytest.mark.ampybus(check)")
    check: str = mark.args[0]

    def judge(scenario: Scenario | Scheduled, *checkers: Checker) -> None:
        run = _run(request)
        judged = known(ampybus_judge.judge(check, scenario, checkers), run.deviations)
        result = replace(judged, also=tuple(known(item, run.deviations) for item in judged.also))
        request.node.user_properties += [
            (PROPERTY, result.to_dict()),
            (HEADING, asdict(run.heading) if run.heading else None),
        ]
        failed = [item for item in (result, *result.also) if item.verdict is Verdict.FAIL]
        if failed:
            pytest.fail("\n".join(f"{item.check}: {item.reason}" for item in failed), pytrace=False)
        if result.verdict is Verdict.DEVIATION:
            pytest.xfail(result.reason)
        if result.verdict is not Verdict.PASS:
            pytest.skip(f"{result.verdict}: {result.reason}")

    return judge


def _run(request: pytest.FixtureRequest) -> ConformanceRun:
    run = request.config.pluginmanager.get_plugin("ampybus-run")
    assert isinstance(run, ConformanceRun)
    return run
