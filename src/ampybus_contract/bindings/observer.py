"""What a binding tells to whoever watches it; nobody does, unless telemetry is asked for."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from ampybus_contract.envelope import Envelope

_NOTHING: AbstractContextManager[None] = nullcontext()


class Observer:
    """Sees nothing. ``Telemetry`` makes metrics, log records and spans of these calls.

    One that is ``blind`` does not need to be told; whoever looks at anything is not.
    """

    blind = True

    def __init_subclass__(cls) -> None:
        cls.blind = False

    def publishing(self, envelope: Envelope) -> AbstractContextManager[Envelope]:
        """Around a publish; gives the envelope to send. An exception means that it is not known as stored."""
        return nullcontext(envelope)

    def consuming(self, group: str, envelope: Envelope) -> AbstractContextManager[None]:
        """Around all that a group does with one message."""
        return _NOTHING

    def handling(self, group: str, envelope: Envelope, attempt: int) -> AbstractContextManager[None]:
        """Around one call of the handler; attempts count from 1."""
        return _NOTHING

    def routing(self, envelope: Envelope, topic: str) -> AbstractContextManager[None]:
        """Around the publish of a message to another topic: as a dead letter, or redriven."""
        return _NOTHING

    def applied(self, group: str, envelope: Envelope) -> None:
        """A message took effect."""

    def retried(self, group: str, envelope: Envelope, kind: str) -> None:
        """A message will be tried again after a failure of this kind."""

    def buried(self, group: str, envelope: Envelope, kind: str) -> None:
        """The dead letter of a message is stored."""

    def lagging(self, group: str, envelope: Envelope, records: int) -> None:
        """So many records are not settled yet, this one among them."""

    def close(self) -> None:
        """Write what is held back."""
