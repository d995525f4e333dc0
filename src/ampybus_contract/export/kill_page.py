"""The kill matrix as a page and as data, both published beside the other pages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ampybus_contract.contract import Contract
from ampybus_contract.harness.kill_matrix import Kill, KillMatrix, without_killer
from ampybus_contract.harness.verdicts import Verdict

PAGES = Path(__file__).with_name("pages")
PAGE, DATA = PAGES / "mutants.md", PAGES / "mutants.json"


def to_dict(contract: Contract, matrix: KillMatrix) -> dict[str, Any]:
    """Plain data: the control's verdicts, each mutant with what failed for it, each requirement's killers."""
    return {
        "contract_version": contract.version,
        "broker": matrix.broker,
        "control": {check: str(verdict) for check, verdict in matrix.control.items()},
        "mutants": [
            {
                "mutant": item.mutant,
                "check": item.check,
                "verdict": str(item.verdict),
                "others": list(item.others),
            }
            for item in matrix.kills
        ],
        "requirements": {
            name: [item.mutant for item in matrix.killers(rule.checks)]
            for name, rule in contract.requirements.items()
        },
    }


def from_dict(data: dict[str, Any]) -> KillMatrix:
    """The matrix that the data was made of."""
    return KillMatrix(
        data["broker"],
        {check: Verdict(verdict) for check, verdict in data["control"].items()},
        tuple(
            Kill(item["mutant"], item["check"], Verdict(item["verdict"]), tuple(item["others"]))
            for item in data["mutants"]
        ),
    )


def as_json(contract: Contract, matrix: KillMatrix) -> str:
    """The data as it is published."""
    return json.dumps(to_dict(contract, matrix), indent=1, ensure_ascii=False) + "\n"


def as_markdown(contract: Contract, matrix: KillMatrix) -> str:
    """The page as it is published."""
    return "\n".join(_lines(contract, matrix)) + "\n"


def published(path: Path, text: str) -> bool:
    """Whether a published file says just this."""
    return path.exists() and path.read_text(encoding="utf-8") == text


def _lines(contract: Contract, matrix: KillMatrix) -> Iterator[str]:
    killed = sum(item.killed for item in matrix.kills)
    passed = sum(verdict is Verdict.PASS for verdict in matrix.control.values())
    yield "# Mutants: the proof that the suites can fail"
    yield ""
    yield (
        "A mutant is the reference binding, broken in exactly one way. Each is judged by the whole suite, "
        f"on the {matrix.broker} broker. `make mutants` builds this page, and fails where it differs."
    )
    yield ""
    yield f"- {killed} of {len(matrix.kills)} mutants are killed by their own check."
    yield f"- The unbroken binding passes {passed} of {len(matrix.control)} checks."
    yield ""
    yield "## By mutant"
    yield ""
    yield from table(
        ("check", "mutant", "verdict", "other checks that failed"),
        [(item.check, item.mutant, str(item.verdict), _counted(item.others)) for item in matrix.kills],
    )
    yield ""
    yield "## By requirement"
    yield ""
    rows = []
    for name, rule in contract.requirements.items():
        kills = matrix.killers(rule.checks)
        checks = dict.fromkeys(item.check for item in kills)
        told = "; ".join(f"{check}: {_named(kills, check)}" for check in checks)
        if kills:
            rows.append((name, rule.level, told))
    yield from table(("requirement", "level", "killing check: killed mutants"), rows)
    yield ""
    yield "## Every MUST without a killed mutant, and why"
    yield ""
    yield from table(("requirement", "why"), list(without_killer(contract, matrix)))


def _counted(checks: Sequence[str]) -> str:
    return f"{len(checks)}: {' '.join(checks)}" if checks else "0"


def _named(kills: Sequence[Kill], check: str) -> str:
    return ", ".join(item.mutant for item in kills if item.check == check)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines of a Markdown table."""
    yield f"| {' | '.join(heads)} |"
    yield f"|{'|'.join('---' for _ in heads)}|"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
