"""The pytest plugin: ``pytest --ampybus-conformance`` judges a binding.

This module is imported in every pytest run where the package is installed, so it imports nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from ampybus_contract.harness.checkers import Checker
    from ampybus_contract.harness.schedules import Scenario, Scheduled


class ConformanceCheck(Protocol):
    """What the fixture ``ampybus`` gives: play a scenario, and let checkers judge its history."""

    def __call__(self, scenario: Scenario | Scheduled, *checkers: Checker) -> None:
        """Fails, skips (not claimed, inconclusive) or passes the test."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("ampybus", "ampy-bus conformance")
    group.addoption(
        "--ampybus-conformance", action="store_true", help="judge a binding by the ampy-bus contract"
    )
    group.addoption(
        "--ampybus-binding",
        metavar="SPEC",
        default="memory",
        help="memory, nats, kafka, package.module:factory, or process:COMMAND (default: memory)",
    )
    group.addoption(
        "--ampybus-broker",
        metavar="SPEC",
        default=None,
        help="memory, embedded[:nats|:nats-tls|:nats-cluster|:kafka|:kafka-tls|:kafka-light] (a real server, "
        "no Docker), container[:nats|:kafka|:redpanda][?image=NAME:TAG] (Docker), auto[?image=NAME:TAG] "
        "(container where an engine answers and the image is at hand or pulled soon, else embedded), "
        "nats://…, kafka://…, and for TLS tls://… or kafkas://…, with ?ca=FILE&cert=FILE&key=FILE "
        "(default: by the binding)",
    )
    group.addoption(
        "--ampybus-seed", type=int, default=1, metavar="N", help="seed of the workload (default: 1)"
    )
    group.addoption(
        "--ampybus-report",
        metavar="FILE",
        action="append",
        default=[],
        help="write the report to a .html, .json or .xml (JUnit) file; may be given several times",
    )
    group.addoption(
        "--ampybus-history",
        metavar="DIR",
        default=None,
        help="record the history of each check as JSON lines, for 'ampybus check'",
    )
    group.addoption(
        "--ampybus-effort",
        choices=("quick", "default", "exhaustive"),
        default="default",
        help="how many schedules of faults to play: 10, 50 or 5000, on a real broker 3, 8 or 48 "
        "(default: default)",
    )
    group.addoption(
        "--ampybus-recovery",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="how long to wait until a binding goes on after a fault, at most the contract's recovery time "
        "(default: 60)",
    )
    group.addoption(
        "--ampybus-schedule",
        metavar="FILE",
        default=None,
        help="play this schedule only, as a finding of FLT-08 saved it",
    )
    group.addoption(
        "--ampybus-deviations",
        metavar="FILE",
        default=None,
        help="a YAML list of what the binding is known to break, with reason, issue link and expiry date",
    )
    group.addoption(
        "--ampybus-domain", metavar="NAME", default=None, help="use this domain's samples wherever they fit"
    )
    group.addoption(
        "--ampybus-profile",
        metavar="NAMES",
        default="",
        help="only the checks of these profiles, with commas between them",
    )
    group.addoption(
        "--ampybus-in-process",
        action="store_true",
        help="run package.module:factory in the judge's own process, for a debugger; it is no isolation",
    )
    group.addoption(
        "--ampybus-memory",
        type=int,
        default=None,
        metavar="MIB",
        help="how much address space the binding's process may have (default: as much as there is)",
    )
    group.addoption(
        "--ampybus-env",
        metavar="NAME",
        action="append",
        default=[],
        help="let the binding's process see this environment variable; may be given several times",
    )
    group.addoption(
        "--ampybus-spec", metavar="DIR", default=None, help="judge by another spec directory, or an overlay"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark, and in a conformance run what does the work."""
    config.addinivalue_line("markers", "ampybus(check): a conformance check of the ampy-bus contract")
    if config.getoption("ampybus_conformance"):
        from ampybus_contract.pytest_plugin import fixtures  # noqa: PLC0415  heavy
        from ampybus_contract.pytest_plugin.run import ConformanceRun  # noqa: PLC0415  heavy

        config.pluginmanager.register(ConformanceRun(config), "ampybus-run")
        config.pluginmanager.register(fixtures, "ampybus-fixtures")
