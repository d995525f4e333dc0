"""A fault is one way to break the reference binding; a trigger says when it shows."""

from __future__ import annotations

import asyncio
import inspect
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from ampybus_contract.bindings.protocol import Endpoint
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.errors import AmpyBusError

Change = Callable[[Envelope], Envelope]
Tell = Callable[[str], None]
Install = Callable[["Strike", ReferenceBinding], None]

OWN = Path(__file__).parent
LIBRARIES = (
    OWN.parent.parent / "envelope",
    *{Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")},
)
"""Code that is right, and raises for what it is given."""
MARKER = "started"
WIDE = frozenset({"metric", "log", "span", "session"})
"""Places where one subject is much like another."""

ANY = "*"
ENVELOPE, GROUP, ATTEMPT, BUSY = "envelope", "group", "attempt", "busy"
MESSAGE = frozenset({ENVELOPE})
CONSUMED = frozenset({ENVELOPE, GROUP})
TRIED = frozenset({ENVELOPE, GROUP, ATTEMPT})
SENT = frozenset({ENVELOPE, BUSY})
NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Moment:
    """When a fault could show: the message there is, the group that has it, and the attempt, from 1."""

    envelope: Envelope | None
    group: str = ""
    attempt: int = 1


@dataclass(slots=True)
class Circumstances:
    """What a binding knows of its own life.

    ``started`` is a time of the event loop, in seconds; ``place`` the directory of its state, as text.
    """

    contract: Contract
    restarted: bool = False
    place: str = ""
    started: float = 0.0
    groups: list[str] = field(default_factory=list)
    under_way: int = 0

    def age(self) -> float:
        """Seconds since the start."""
        return asyncio.get_running_loop().time() - self.started


Condition = Callable[[Moment], bool]


@dataclass(frozen=True, slots=True)
class Trigger:
    """When a fault shows; ``needs`` are the facts of a moment it reads, ``holds`` judges a message alone.

    ``holds`` is None where more than the message decides, and then any message may be one.
    """

    kind: str
    value: str
    needs: frozenset[str]
    make: Callable[[Circumstances], Condition]
    holds: Callable[[Envelope, Contract], bool] | None = None

    @property
    def name(self) -> str:
        """As it stands in an ID."""
        return f"{self.kind}={self.value}" if self.value else self.kind


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to be wrong: an operator at a place on a subject.

    ``chapter`` is that of the checks which must notice, ``says`` what the binding does, as a sentence without
    its subject. ``facts`` is what a moment there knows. ``shows`` tells whether the fault can show with a
    message; None where it can with any. ``requirement`` is the one that must be broken by a message for the
    fault to show, or empty. ``unfit`` has triggers, by kind or name, with which it breaks
    nothing, and the reason; ``ANY`` stands for all of them.
    """

    place: str
    operator: str
    subject: str
    says: str
    chapter: str
    facts: frozenset[str]
    install: Install
    shows: Callable[[Envelope], bool] | None = None
    requirement: str = ""
    unfit: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """As it stands in an ID."""
        return f"{self.place}.{self.operator}.{self.subject}"

    @property
    def family(self) -> str:
        """Place, operator, and what sort of subject it is: what a sample is spread over."""
        if self.place in WIDE:
            return f"{self.place}.{self.operator}"
        sort = self.subject.split(".")[0]
        return f"{self.place}.{self.operator}.{'header' if sort.startswith('unknown') else sort}"


class Strike:
    """A trigger in the life of one binding; ``tell`` hears of each exception of the fault's own making."""

    def __init__(self, trigger: Trigger, contract: Contract, tell: Tell) -> None:
        self.contract = contract
        self.tell = tell
        self.life = Circumstances(contract)
        self.condition = trigger.make(self.life)
        self.needs = trigger.needs
        self.calls: dict[tuple[str, str], int] = {}

    def __call__(self, envelope: Envelope | None = None, group: str = "", attempt: int = 1) -> bool:
        """Whether the fault shows now. Each call counts as a moment."""
        try:
            return self.condition(Moment(envelope, group, attempt))
        except Exception as error:
            self.tell(f"{type(error).__name__}: {error}")
            return False

    def changed(self, change: Change, envelope: Envelope) -> Envelope:
        """The changed message; as it was, where the change itself fails."""
        try:
            return change(envelope)
        except Exception as error:
            self.tell(f"{type(error).__name__}: {error}")
            return envelope

    def around(self, target: object, name: str, wrapper: Callable[..., Any]) -> None:
        """Put a wrapper in the place of a method: it gets the method, and then the arguments."""
        call = partial(wrapper, getattr(target, name))

        async def guarded_later(*given: Any, **named: Any) -> Any:
            try:
                return await call(*given, **named)
            except Exception as error:
                self._blame(error)
                raise

        def guarded(*given: Any, **named: Any) -> Any:
            try:
                return call(*given, **named)
            except Exception as error:
                self._blame(error)
                raise

        setattr(target, name, guarded_later if inspect.iscoroutinefunction(wrapper) else guarded)

    def attempt(self, envelope: Envelope, group: str) -> int:
        """Which call of a group's handler this is for a message, from 1."""
        name = (group, envelope.headers.get("message_id", ""))
        self.calls[name] = self.calls.get(name, 0) + 1
        return self.calls[name]

    def _blame(self, error: Exception) -> None:
        if not isinstance(error, AmpyBusError) and _own(error.__traceback__):
            self.tell(f"{type(error).__name__}: {error}")

    def live(self, binding: ReferenceBinding) -> None:
        """Learn of the life of a binding what the trigger needs."""
        self.around(binding, "start", self._start)
        if GROUP in self.needs:
            for name in ("subscribe", "resume", "take_replays"):
                self.around(binding, name, self._join)
        if BUSY in self.needs:
            self.around(binding, "publish", self._publish)

    async def _start(self, method: Callable[..., Any], endpoint: Endpoint) -> None:
        self.life.started = asyncio.get_running_loop().time()
        if endpoint.state is not None:
            self.life.place = str(endpoint.state)
            marker = endpoint.state / MARKER
            self.life.restarted = marker.exists()
            marker.touch()
        await method(endpoint)

    async def _join(self, method: Callable[..., Any], subscription: Any, handler: Any) -> None:
        if subscription.group not in self.life.groups:
            self.life.groups.append(subscription.group)
        await method(subscription, handler)

    async def _publish(self, method: Callable[..., Any], envelope: Envelope) -> None:
        self.life.under_way += 1
        try:
            await method(envelope)
        finally:
            self.life.under_way -= 1


def _own(trace: TracebackType | None) -> bool:
    """Whether the innermost code that ran, apart from libraries, is a fault's: no binding's, no handler's."""
    paths = []
    while trace is not None:
        paths.append(Path(trace.tb_frame.f_code.co_filename))
        trace = trace.tb_next
    for path in reversed(paths):
        if path.parent == OWN:
            return True
        if not any(path.is_relative_to(other) for other in LIBRARIES):
            return False
    return False
