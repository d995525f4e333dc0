"""The report as JUnit XML, in the form that CI systems read."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from ampybus_contract.harness.verdicts import Verdict
from ampybus_contract.report.document import Judged, RunReport
from ampybus_contract.report.terminal import finding

SILENT = (Verdict.NOT_CLAIMED, Verdict.DEVIATION, Verdict.DESELECTED)
FORBIDDEN = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(run: RunReport) -> str:
    """One suite a chapter, one case a check; not claimed is skipped, inconclusive is an error.

    The name of the binding is in the class of each case, and how to repeat the run in the properties.
    """
    root = ElementTree.Element("testsuites", name="ampy-bus conformance")
    for chapter in run.chapters:
        cases = [item for item in run.checks if item.chapter == chapter]
        verdicts = [item.verdict for item in cases]
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=f"ampy-bus {chapter}",
            timestamp=run.started_at,
            tests=str(len(cases)),
            failures=str(verdicts.count(Verdict.FAIL)),
            errors=str(verdicts.count(Verdict.INCONCLUSIVE)),
            skipped=str(sum(verdict in SILENT for verdict in verdicts)),
        )
        if any(item.seconds is not None for item in cases):
            suite.set("time", f"{sum(item.seconds or 0 for item in cases):.3f}")
        properties = ElementTree.SubElement(suite, "properties")
        for name, value in _properties(run).items():
            ElementTree.SubElement(properties, "property", name=name, value=_clean(value))
        for item in cases:
            _case(suite, item, f"ampybus.{_package(run.heading.binding)}.{chapter}")
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ElementTree.Element, item: Judged, group: str) -> None:
    case = ElementTree.SubElement(suite, "testcase", classname=group, name=f"{item.id} {item.text}")
    if item.seconds is not None:
        case.set("time", f"{item.seconds:.3f}")
    kind = {Verdict.FAIL: "failure", Verdict.INCONCLUSIVE: "error"}.get(item.verdict)
    if item.verdict in SILENT:
        ElementTree.SubElement(case, "skipped", message=_clean(f"{item.verdict}: {item.reason}"))
    elif kind:
        element = ElementTree.SubElement(case, kind, message=_clean(item.reason), type=item.id)
        element.text = _clean("\n".join(finding(item)))


def _properties(run: RunReport) -> dict[str, str]:
    heading = run.heading
    return {
        "binding": heading.binding,
        "broker": heading.broker_name,
        **heading.settings,
        "contract": run.contract_version,
        "spec": run.spec_digest,
        "seed": str(heading.seed),
        "effort": heading.effort,
    }


def _package(binding: str) -> str:
    """The binding as one part of a dotted name, so that runs of several do not get mixed up."""
    return re.sub(r"\W+", "_", binding)


def _clean(text: str) -> str:
    """Text without what XML 1.0 cannot hold."""
    return FORBIDDEN.sub("\ufffd", text)
