"""What a check came to, in a form that crosses process borders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ampybus_contract.harness.history import Anomaly, Event

NOT_RUN = "the check did not run"


class Verdict(StrEnum):
    """The ways a check can end; ``deselected`` was not asked for, a known deviation is a failure on file."""

    PASS = "pass"
    FAIL = "fail"
    NOT_CLAIMED = "not claimed"
    INCONCLUSIVE = "inconclusive"
    DEVIATION = "known deviation"
    DESELECTED = "deselected"


@dataclass(frozen=True, slots=True)
class Result:
    """The verdict on one check, why, and for a failure what shows it.

    ``unclaimed`` is the capability that the binding does not claim, where that is the reason; ``measured``
    what the history measures, as ``harness.measurements`` has it. ``also`` are failures of other checks that
    the same history shows; each has this check as ``seen_in``, the one whose scenario was played.
    """

    check: str
    verdict: Verdict
    reason: str = ""
    evidence: tuple[Mapping[str, Any], ...] = ()
    unclaimed: str | None = None
    measured: tuple[Mapping[str, Any], ...] = ()
    seen_in: str = ""
    also: tuple[Result, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "check": self.check,
            "verdict": str(self.verdict),
            "reason": self.reason,
            "evidence": list(self.evidence),
            "unclaimed": self.unclaimed,
            "measured": list(self.measured),
            "seen_in": self.seen_in,
            "also": [item.to_dict() for item in self.also],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Result:
        """The inverse of ``to_dict``."""
        return cls(
            data["check"],
            Verdict(data["verdict"]),
            data["reason"],
            tuple(data["evidence"]),
            data["unclaimed"],
            tuple(data["measured"]),
            data.get("seen_in", ""),
            tuple(cls.from_dict(item) for item in data.get("also", ())),
        )


def worst(results: Iterable[Result]) -> dict[str, Result]:
    """One result a check: a failure where there is one, of several the check's own; else the last one."""
    found: dict[str, Result] = {}
    for item in results:
        known = found.get(item.check)
        if known is None or _gravity(item) >= _gravity(known):
            found[item.check] = item
    return found


def _gravity(result: Result) -> tuple[int, bool]:
    failed = {Verdict.FAIL: 2, Verdict.DEVIATION: 1}.get(result.verdict, 0)
    return failed, bool(failed and not result.seen_in)


def evidence(anomalies: Sequence[Anomaly]) -> tuple[Mapping[str, Any], ...]:
    """Anomalies as plain data: a sentence and the events that show it."""
    return tuple(
        {"sentence": anomaly.sentence, "events": [_event(item) for item in anomaly.events]}
        for anomaly in anomalies
    )


def _event(item: Event) -> dict[str, Any]:
    return {
        "at": item.at,
        "actor": item.actor,
        "operation": str(item.operation),
        "outcome": str(item.outcome),
        "topic": item.topic,
        "headers": dict(item.envelope.headers),
        "payload_bytes": len(item.envelope.payload),
        "attempt": item.attempt,
        "error": item.error,
    }
