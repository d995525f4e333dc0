"""When a profile is passed."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from ampybus_contract.harness.verdicts import Verdict


class ProfileVerdict(StrEnum):
    """What a run says of a profile."""

    PASSED = "passed"
    FAILED = "failed"
    DEVIATES = "deviates"
    INCONCLUSIVE = "inconclusive"
    INCOMPLETE = "incomplete"
    NOT_CLAIMED = "not claimed"
    NOT_RUN = "not run"


class Entry(Protocol):
    """A check as far as its profile is concerned."""

    @property
    def verdict(self) -> Verdict:
        """How the check ended."""

    @property
    def optional(self) -> bool:
        """Not claimed, and the profile lets that be."""


def profile_verdict(checks: Sequence[Entry], planned: int = 0) -> ProfileVerdict:
    """Passed only where all checks passed, but for capabilities that the profile may lack.

    One failure fails it. A known deviation is no pass. A check that was not selected, or came to no verdict,
    leaves it open. A check that the binding does not claim, or the broker cannot carry, or that has no suite
    yet (``planned`` of them), leaves it incomplete.
    """
    found = {item.verdict for item in checks if not item.optional}
    if Verdict.FAIL in found:
        return ProfileVerdict.FAILED
    if found <= {Verdict.DESELECTED}:
        return ProfileVerdict.NOT_RUN if found else ProfileVerdict.NOT_CLAIMED
    if found & {Verdict.INCONCLUSIVE, Verdict.DESELECTED}:
        return ProfileVerdict.INCONCLUSIVE
    if Verdict.DEVIATION in found:
        return ProfileVerdict.DEVIATES
    if found == {Verdict.PASS} and not planned:
        return ProfileVerdict.PASSED
    return ProfileVerdict.NOT_CLAIMED if found == {Verdict.NOT_CLAIMED} else ProfileVerdict.INCOMPLETE
