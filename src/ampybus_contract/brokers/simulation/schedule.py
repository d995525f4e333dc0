"""A schedule is data: who runs next and what goes wrong where. It replays without the seed it came from."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from ampybus_contract.errors import ScheduleError


class FaultKind(StrEnum):
    """What goes wrong with the message at which a fault is placed; what is simplest to understand first.

    ``repeat``: its producer publishes it twice. ``drop``: the publish does not reach the broker.
    ``lost_ack``: it is stored and not answered. ``truncated_tail``: it is stored and handed out, then the
    broker loses the end of its log, before it answered. ``duplicate``: it is handed out twice.
    ``reorder``: one of another key overtakes it. ``delay``: what passes comes later, and its key waits.
    ``corrupt``: a message that cannot be decoded arrives after it. ``partition``: nothing passes, in either
    direction, from its publish on. ``pause``: the broker stands still from then on. ``restart``: it is
    killed, and started again with what it holds. ``crash_before_effect`` and ``crash_after_effect``: the
    binding dies when the message is handed over, or when its effect is remembered and not acknowledged, and
    another one takes over.
    """

    DUPLICATE = "duplicate"
    REPEAT = "repeat"
    DROP = "drop"
    LOST_ACK = "lost_ack"
    TRUNCATED_TAIL = "truncated_tail"
    REORDER = "reorder"
    DELAY = "delay"
    CORRUPT = "corrupt"
    PARTITION = "partition"
    PAUSE = "pause"
    RESTART = "restart"
    CRASH_BEFORE_EFFECT = "crash_before_effect"
    CRASH_AFTER_EFFECT = "crash_after_effect"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault at message number ``message``, from 0; ``seconds`` is how long, where that applies."""

    kind: FaultKind
    message: int
    seconds: float = 0


@dataclass(frozen=True, slots=True)
class Schedule:
    """Which messages there are, by the numbers of their keys, whose turn it is, and all faults.

    Each time several actors could go on, the next of ``turns`` chooses among them; the list begins again
    at its end, and an empty one lets them go on in the order in which they came.
    """

    messages: tuple[int, ...]
    turns: tuple[int, ...] = ()
    faults: tuple[Fault, ...] = ()

    def to_json(self) -> str:
        """The file's text: equal schedules give equal text."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, name: str = "schedule") -> Schedule:
        """The inverse of ``to_json``. Raises ScheduleError where the text is not one by its schema."""
        try:
            data = json.loads(text)
        except ValueError as error:
            raise ScheduleError(
                f"SCHEDULE expected JSON, got {error} in {name}. Fix: save it again"
            ) from error
        for problem in sorted(_validator().iter_errors(data), key=lambda item: item.json_path):
            raise ScheduleError(
                f"SCHEDULE expected a schedule by its schema, got: {problem.message[:200]} "
                f"at {name} ({problem.json_path}). Fix: see schedule.schema.json"
            )
        faults = [Fault(FaultKind(item["kind"]), item["message"], item["seconds"]) for item in data["faults"]]
        return cls(tuple(data["messages"]), tuple(data["turns"]), tuple(faults))


def schema() -> dict[str, Any]:
    """The JSON Schema of a schedule file."""
    text = files(__package__).joinpath("schema/schedule.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(schema())


def read_schedule(path: Path) -> Schedule:
    """A schedule from its file. Raises ScheduleError where it cannot be read or is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ScheduleError(f"SCHEDULE expected a file, got {error}. Fix: name a saved schedule") from error
    return Schedule.from_json(text, str(path))


def write_schedule(path: Path, schedule: Schedule) -> None:
    """Save a schedule, with the directories above it. Raises ScheduleError where it cannot."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(schedule.to_json(), encoding="utf-8")
    except OSError as error:
        fix = "name a directory that can be written"
        raise ScheduleError(f"SCHEDULE expected to write {path}, got {error}. Fix: {fix}") from error
