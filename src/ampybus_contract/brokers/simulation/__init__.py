"""The deterministic simulation: a schedule of turns and faults, and the broker that plays it."""

from ampybus_contract.brokers.simulation.broker import SimulatedBroker, simulated
from ampybus_contract.brokers.simulation.schedule import (
    Fault,
    FaultKind,
    Schedule,
    read_schedule,
    write_schedule,
)
from ampybus_contract.brokers.simulation.turns import Turns

__all__ = [
    "Fault",
    "FaultKind",
    "Schedule",
    "SimulatedBroker",
    "Turns",
    "read_schedule",
    "simulated",
    "write_schedule",
]
