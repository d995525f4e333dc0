"""How far a binding under test is kept from the judge: in a process of its own, or in this one."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ampybus_contract.bindings.process import ProcessBinding, greeted
from ampybus_contract.bindings.process_child import Surroundings
from ampybus_contract.bindings.protocol import Binding
from ampybus_contract.errors import AdapterError, TargetError
from ampybus_contract.harness.judge import BindingFactory

HOST = "ampybus_contract.bindings.host"
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Isolation:
    """What the command line says of it: ``memory`` in MiB, ``variables`` by name."""

    in_process: bool = False
    memory: int | None = None
    variables: tuple[str, ...] = ()

    def words(self) -> tuple[str, ...]:
        """The options that say the same."""
        alone = ("--ampybus-in-process",) if self.in_process else ()
        memory = ("--ampybus-memory", str(self.memory)) if self.memory is not None else ()
        named = (word for name in self.variables for word in ("--ampybus-env", name))
        return (*alone, *memory, *named)

    def surroundings(self, own_directory: bool) -> Surroundings:
        """What a child gets. Raises TargetError for a variable that is not set, or no room at all."""
        missing = [name for name in self.variables if name not in os.environ]
        if missing:
            raise TargetError(f"TARGET expected the variable {missing[0]} to be set, it is not. Fix: set it")
        if self.memory is not None and self.memory < 1:
            raise TargetError(f"TARGET expected memory in MiB, got {self.memory}. Fix: give 1 or more")
        variables = {name: os.environ[name] for name in self.variables}
        if own_directory:
            variables["PYTHONPATH"] = os.pathsep.join(importable())
        memory = None if self.memory is None else self.memory * MIB
        return Surroundings(variables, own_directory, memory)


def importable() -> list[str]:
    """Where a child finds what can be imported here, beside the installed packages: this directory first."""
    installed = (sys.prefix, sys.base_prefix, sys.exec_prefix)
    paths = [os.getcwd(), *(os.path.abspath(path) for path in sys.path if path)]
    return [path for path in dict.fromkeys(paths) if not any(_below(path, top) for top in installed)]


def _below(path: str, top: str) -> bool:
    inside = Path(path).is_relative_to(top)
    return inside and ("site-packages" in path or "lib" in Path(path).relative_to(top).parts[:1])


def hosted(words: Sequence[str], isolation: Isolation) -> BindingFactory:
    """A factory of bindings that each live in a process of their own.

    Raises TargetError where there is nothing of that name. Whatever else happens before the binding is there
    is a finding about it: the factory raises it each time.
    """
    command = (sys.executable, "-P", "-m", HOST, *words)
    surroundings = isolation.surroundings(own_directory=True)
    try:
        claimed = greeted(command, surroundings)
    except AdapterError as error:
        return _failing(error)
    return lambda: ProcessBinding(command, claimed, surroundings=surroundings, patient=True)


def spoken(command: Sequence[str], isolation: Isolation) -> BindingFactory:
    """A factory of bindings by a command. Raises AdapterError where it does not greet."""
    surroundings = isolation.surroundings(own_directory=False)
    claimed = greeted(command, surroundings)
    return lambda: ProcessBinding(command, claimed, surroundings=surroundings)


def _failing(error: AdapterError) -> BindingFactory:
    words = str(error)

    def factory() -> Binding:
        raise AdapterError(words)

    return factory
