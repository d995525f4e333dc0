"""A server of ours that is started again where it was."""

from __future__ import annotations

import pytest

from ampybus_contract.brokers.owned_server import OwnedServer
from ampybus_contract.brokers.readiness import PortTakenError
from ampybus_contract.errors import BrokerError


class Port:
    """A port that others hold for the first few starts."""

    def __init__(self, held: int) -> None:
        self.held = held
        self.starts = 0

    def start(self) -> None:
        self.starts += 1
        if self.starts <= self.held:
            raise PortTakenError("BROKER expected a free port, got one in use. Fix: wait")


def test_a_port_that_is_taken_for_a_while_is_waited_for() -> None:
    port = Port(held=2)
    OwnedServer().start_again(port.start, seconds=30.0)
    assert port.starts == 3


def test_a_port_that_stays_taken_is_an_error() -> None:
    port = Port(held=1_000)
    with pytest.raises(PortTakenError):
        OwnedServer().start_again(port.start, seconds=0.0)
    assert port.starts < 1_000


def test_no_server_can_be_killed_before_its_start() -> None:
    with pytest.raises(BrokerError, match="a started server"):
        OwnedServer().kill()
