"""Play a scenario with a binding at a place, and give its history."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from ampybus_contract.bindings.protocol import Binding, Endpoint
from ampybus_contract.brokers.protocol import Probe
from ampybus_contract.brokers.simulation import Schedule, simulated
from ampybus_contract.brokers.virtual_time import run_virtual
from ampybus_contract.contract import Contract
from ampybus_contract.errors import BindingCrashError, BrokerError
from ampybus_contract.harness.breadth import Breadth
from ampybus_contract.harness.history import Event
from ampybus_contract.harness.scenarios.chaos import chaos
from ampybus_contract.harness.scenarios.incidents import CRASHES
from ampybus_contract.harness.schedules import Scenario
from ampybus_contract.harness.stage import Stage

Place = AbstractAsyncContextManager[tuple[Endpoint, Probe]]
SIMULATION = "schedules"


@asynccontextmanager
async def simulation(schedule: Schedule) -> AsyncIterator[tuple[Endpoint, Probe]]:
    """The simulated broker of a schedule; its bindings have a state where the schedule has a crash."""
    with ExitStack() as stack:
        state = None
        if any(fault.kind in CRASHES for fault in schedule.faults):
            state = Path(stack.enter_context(TemporaryDirectory()))
        async with simulated(schedule) as (endpoint, probe):
            yield replace(endpoint, state=state), probe


@asynccontextmanager
async def furnished(place: Place, watched: bool) -> AsyncIterator[tuple[Endpoint, Probe]]:
    """A place with directories for state, objects and, where it is watched, telemetry."""
    async with place as (endpoint, probe):
        with TemporaryDirectory() as state:
            telemetry, blobs = Path(state, "telemetry"), Path(state, "blobs")
            telemetry.mkdir()
            blobs.mkdir()
            own = replace(endpoint, state=Path(state), blobs=blobs.as_uri())
            yield replace(own, telemetry=telemetry if watched else None), probe


async def play(
    contract: Contract,
    make: Callable[[], Binding],
    place: Place,
    scenario: Scenario,
    seed: int,
    patience: float,
    recovery: float | None = None,
    breadth: Breadth = Breadth.EACH,
) -> list[Event]:
    """The history. ``recovery`` is how long to wait after a fault, in seconds; None is the contract's time.

    Raises BindingCrashError or BrokerError where it could not be played.
    """
    async with place as (endpoint, probe):
        stage = Stage(contract, make, probe, seed, patience, recovery, breadth)
        await stage.open(endpoint)
        try:
            await scenario(stage)
        except ExceptionGroup as several:
            raise _first_of(several) from several
        finally:
            await stage.close()
    if stage.flooded:
        raise BindingCrashError(stage.flooded)
    return stage.history


def played(
    contract: Contract, make: Callable[[], Binding], schedule: Schedule, seed: int = 0, patience: float = 5.0
) -> list[Event]:
    """The history of a schedule in the simulation: the same schedule, binding and seed give the same one."""
    return run_virtual(play(contract, make, simulation(schedule), chaos.by(schedule), seed, patience))


def _first_of(several: ExceptionGroup[Exception]) -> Exception:
    """Of what went wrong side by side, the first that a verdict can be made of; else all of it."""
    first: Exception = several.subgroup((BindingCrashError, BrokerError)) or several
    while isinstance(first, ExceptionGroup) and first is not several:
        first = first.exceptions[0]
    return first
