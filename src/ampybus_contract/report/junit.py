"""The report as JUnit XML, in the form that CI systems read."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from ampybus_contract.harness.verdicts import Verdict
from ampybus_contract.report.document import Judged, RunReport

SILENT = (Verdict.NOT_CLAIMED, Verdict.DEVIATION, Verdict.DESELECTED)
FORBIDDEN = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(run: RunReport) -> str:
    """One suite a chapter, one case a check; not claimed is skipped, inconclusive is an error."""
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
        for item in cases:
            _case(suite, item)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ElementTree.Element, item: Judged) -> None:
    case = ElementTree.SubElement(
        suite, "testcase", classname=f"ampybus.{item.chapter}", name=f"{item.id} {item.text}"
    )
    kind = {Verdict.FAIL: "failure", Verdict.INCONCLUSIVE: "error"}.get(item.verdict)
    if item.verdict in SILENT:
        ElementTree.SubElement(case, "skipped", message=_clean(f"{item.verdict}: {item.reason}"))
    elif kind:
        clauses = [
            f"{clause.id} {clause.level} ({clause.clause}) {clause.text}" for clause in item.requirements
        ]
        sentences = [anomaly["sentence"] for anomaly in item.evidence]
        element = ElementTree.SubElement(case, kind, message=_clean(item.reason), type=item.id)
        element.text = _clean("\n".join([*clauses, *sentences, f"again: {item.again}"]))


def _clean(text: str) -> str:
    """Text without what XML 1.0 cannot hold."""
    return FORBIDDEN.sub("\ufffd", text)
