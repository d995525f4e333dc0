"""The broker's side of a stage: what it holds, what is put there, and what is done to it."""

from __future__ import annotations

import asyncio

from ampybus_contract.brokers.levers import (
    Backlog,
    Clock,
    Fits,
    Holds,
    Leads,
    Levers,
    Pauses,
    Renews,
    Restarts,
)
from ampybus_contract.brokers.protocol import Probe
from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope
from ampybus_contract.errors import BrokerError
from ampybus_contract.harness.checkers import is_dead_letter
from ampybus_contract.harness.history import Operation, Outcome
from ampybus_contract.harness.recorder import NOTHING, Recorder


class Wire(Recorder):
    """Looks at the broker and disturbs it by the probe, without the binding."""

    def __init__(self, contract: Contract, probe: Probe, patience: float) -> None:
        super().__init__(patience)
        self.contract = contract
        self.probe = probe

    @property
    def levers(self) -> Levers:
        """The ways to disturb the broker. Raises BrokerError where it has none."""
        if not isinstance(self.probe, Levers):
            raise BrokerError("BROKER expected one that can be disturbed, got none. Fix: use another broker")
        return self.probe

    @property
    def consumers(self) -> Backlog:
        """What the broker knows of its consumers. Raises BrokerError where it does not tell."""
        if not isinstance(self.probe, Backlog):
            raise BrokerError("BROKER expected one that tells a backlog, got none. Fix: use another broker")
        return self.probe

    @property
    def restarts(self) -> Restarts:
        """The way to kill the broker. Raises BrokerError where it is not ours."""
        if not isinstance(self.probe, Restarts):
            raise BrokerError("BROKER expected one that can be killed, got none. Fix: use another broker")
        return self.probe

    @property
    def pauses(self) -> Pauses:
        """The way to let the broker stand still. Raises BrokerError where it is not ours."""
        if not isinstance(self.probe, Pauses):
            raise BrokerError("BROKER expected one that can be paused, got none. Fix: use another broker")
        return self.probe

    @property
    def is_cluster(self) -> bool:
        """Whether the broker's leader can be taken away."""
        return isinstance(self.probe, Leads)

    async def change_leader(self) -> None:
        """Take the leader away until others lead. Raises BrokerError where there is no cluster of ours."""
        if not isinstance(self.probe, Leads):
            raise BrokerError("BROKER expected a cluster of ours, got none. Fix: use embedded:nats-cluster")
        self.fault("the leader was killed")
        await self.probe.change_leader()
        self.fault("another one leads, and the killed one is back")

    async def renew_certificates(self) -> None:
        """Replace the certificates of broker and clients. Raises BrokerError where they are not ours."""
        if not isinstance(self.probe, Renews):
            raise BrokerError("BROKER expected certificates of ours, got a given broker. Fix: use embedded")
        await self.probe.renew_certificates()

    async def now(self) -> int:
        """The broker's time, in nanoseconds since the epoch. Raises BrokerError where it does not tell."""
        if not isinstance(self.probe, Clock):
            raise BrokerError("BROKER expected one that tells its time, got none. Fix: use another broker")
        return await self.probe.now()

    async def backlog(self) -> int:
        """Ask the broker how much its consumers have not acknowledged, and note it."""
        count = await self.consumers.backlog()
        what = f"{count} messages are not acknowledged"
        self._record("broker", Operation.BACKLOG, Outcome.OK, NOTHING, error=what, count=count)
        return count

    async def held(self) -> None:
        """Note how much the broker says one consumer holds, where it says that."""
        if isinstance(self.probe, Holds):
            count = await self.probe.held()
            self._record("broker", Operation.HELD, Outcome.OK, NOTHING, error=f"{count} held", count=count)

    async def drained(self) -> bool:
        """Wait until every message is acknowledged."""
        return await self._becomes(self.consumers.backlog, lambda count: count == 0)

    async def on_wire(self, envelope: Envelope, copies: int = 1) -> bool:
        """Wait until the broker holds so many copies of a message."""
        return await self._becomes(lambda: self.stored_copies(envelope), lambda count: count >= copies)

    async def stored_copies(self, envelope: Envelope) -> int:
        """How many messages with this one's id the broker holds."""
        identity = envelope.headers.get("message_id", "")
        return sum(item.headers.get("message_id") == identity for item in await self.probe.stored())

    async def buried(self, count: int, seconds: float = 0) -> bool:
        """Wait until the DLQ holds ``count`` messages: ``patience``, or ``seconds`` if that is more."""
        deadline = asyncio.get_running_loop().time() + max(self.patience, seconds)
        while asyncio.get_running_loop().time() < deadline:
            letters = [
                item for item in await self.probe.stored() if is_dead_letter(item.topic, self.contract)
            ]
            if len(letters) >= count:
                what = f"{count} dead letters are there"
                self._record("wire", Operation.BURIED, Outcome.OK, NOTHING, error=what, count=count)
                return True
            await asyncio.sleep(0.02)
        return False

    def unfit(self, envelope: Envelope) -> str:
        """The rule by which this broker does not hold an envelope as it is; empty where it does."""
        return self.probe.unfit(envelope) if isinstance(self.probe, Fits) else ""

    async def inject(self, *envelopes: Envelope) -> None:
        """Put envelopes on the wire without the binding.

        What the broker would not hold as it is is left out, and the event says by which rule.
        """
        for envelope in envelopes:
            rule = self.unfit(envelope)
            if rule:
                self._record("wire", Operation.INJECT, Outcome.FAIL, envelope, error=rule)
                continue
            await self.probe.inject(envelope)
            self._record("wire", Operation.INJECT, Outcome.OK, envelope)
