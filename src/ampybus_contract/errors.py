"""The errors of the package: each says what was expected, what was found, where, and what to do."""

from __future__ import annotations

from dataclasses import dataclass


class AmpyBusError(Exception):
    """Base of every error this package raises on purpose; ``code`` is stable across releases."""

    code = "AMPY"


@dataclass(frozen=True, slots=True)
class SpecProblem:
    """One thing wrong in a spec file, with its place."""

    file: str
    line: int
    path: str
    expected: str
    got: str
    fix: str

    def __str__(self) -> str:
        return (
            f"SPEC expected {self.expected}, got {self.got} "
            f"at {self.file}:{self.line} ({self.path or '/'}). Fix: {self.fix}"
        )


class SpecError(AmpyBusError):
    """The spec cannot be used; ``problems`` holds everything that was found, not only the first."""

    code = "SPEC"

    def __init__(self, problems: list[SpecProblem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class TopicError(AmpyBusError):
    """A text is not a topic of the contract (topic grammar)."""

    code = "TOPIC"


class HeaderError(AmpyBusError):
    """Headers cannot be represented: a name or value is not text."""

    code = "HEADER"


class DecodeError(AmpyBusError):
    """Payload bytes do not match their encoding or their type."""

    code = "DECODE"


class FixtureError(AmpyBusError):
    """A fixture is not an envelope in any spelling that is understood."""

    code = "FIXTURE"


class BrokerError(AmpyBusError):
    """A broker could not be started or reached."""

    code = "BROKER"


class SubscriptionError(AmpyBusError):
    """A subscription that could get nothing: no topic falls under its pattern, or its group has no name."""

    code = "SUBSCRIBE"


class PublishError(AmpyBusError):
    """A publish did not succeed; ``definite`` is True where the message is surely not stored (D22)."""

    code = "PUBLISH"

    def __init__(self, message: str, *, definite: bool) -> None:
        super().__init__(message)
        self.definite = definite


class BindingCrashError(AmpyBusError):
    """The binding under test failed outside the contract: it raised, hung, or lacks a method."""

    code = "BINDING"


class AdapterError(BindingCrashError):
    """An adapter process broke the protocol: it hung, ended, flooded, answered wrongly or twice."""

    code = "ADAPTER"


class ReplayError(AmpyBusError):
    """A replay request selects nothing that the contract knows."""

    code = "REPLAY"


class CheckpointError(AmpyBusError):
    """A file of checkpoints cannot be gone on from."""

    code = "CHECKPOINT"


class EffectError(AmpyBusError):
    """Applied effects cannot be remembered, or what is remembered cannot be read."""

    code = "EFFECTS"


class StrategyError(AmpyBusError):
    """A Hypothesis strategy was asked for something that the contract does not have."""

    code = "STRATEGY"


class TargetError(AmpyBusError):
    """What is to be judged, or on what, cannot be found."""

    code = "TARGET"


class ReportError(AmpyBusError):
    """A report cannot be read or written."""

    code = "REPORT"


class HistoryError(AmpyBusError):
    """A recorded history cannot be read."""

    code = "HISTORY"


class ScheduleError(AmpyBusError):
    """A schedule of the simulation cannot be read or saved."""

    code = "SCHEDULE"


class BlobError(AmpyBusError):
    """An object of the pointer pattern cannot be had; ``passing`` is True where a later try may succeed."""

    code = "BLOB"

    def __init__(self, message: str, *, passing: bool) -> None:
        super().__init__(message)
        self.passing = passing


class RevisionError(AmpyBusError):
    """A version of the spec cannot be found."""

    code = "REVISION"
