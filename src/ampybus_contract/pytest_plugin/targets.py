"""From the words of the command line to a binding."""

from __future__ import annotations

import importlib
import os
import shlex
import sys
from collections.abc import Callable

from ampybus_contract.bindings.protocol import Binding
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.transport import Transport
from ampybus_contract.contract import Contract
from ampybus_contract.errors import TargetError
from ampybus_contract.harness.judge import BindingFactory
from ampybus_contract.pytest_plugin.extras import missing_extra
from ampybus_contract.pytest_plugin.isolation import Isolation, hosted, spoken

PROCESS = "process:"
MUTANT = "mutant:"
TRANSPORTS = ("memory", "nats", "kafka")


def binding_factory(spec: str, contract: Contract, isolation: Isolation | None = None) -> BindingFactory:
    """A factory for ``memory``, ``nats``, ``kafka``, ``package.module:factory`` or ``process:command``.

    ``mutant:ID`` is a generated mutant over memory, ``mutant:nats:ID`` and ``mutant:kafka:ID`` over these.
    Raises TargetError, and AdapterError where an adapter does not greet.
    """
    isolation = isolation or Isolation()
    if spec in TRANSPORTS:
        make = transport(spec, contract)
        return lambda: ReferenceBinding(make(), contract)
    if spec.startswith(MUTANT):
        return _mutant(spec.removeprefix(MUTANT), contract)
    if spec.startswith(PROCESS):
        return _process(spec.removeprefix(PROCESS), isolation)
    _named(spec)
    return _imported(spec) if isolation.in_process else hosted([spec], isolation)


def transport(name: str, contract: Contract) -> Callable[[], Transport]:
    """What makes a transport of one of ``TRANSPORTS``. Raises TargetError where an extra is not installed."""
    if name == "nats":
        try:
            from ampybus_contract.bindings.nats import NatsTransport  # noqa: PLC0415  needs an extra
        except ModuleNotFoundError as error:
            raise missing_extra("nats-py", "conformance") from error
        return lambda: NatsTransport(contract)
    if name == "kafka":
        try:
            from ampybus_contract.bindings.kafka import KafkaTransport  # noqa: PLC0415  needs an extra
        except ModuleNotFoundError as error:
            raise missing_extra("aiokafka", "kafka") from error
        return lambda: KafkaTransport(contract.kafka, contract.security.tls_minimum)
    from ampybus_contract.bindings.memory import MemoryTransport  # noqa: PLC0415  one binding a run

    return MemoryTransport


def transport_of(spec: str) -> str:
    """What a binding of this package speaks to: ``nats`` for ``mutant:nats:ID``; the spec for any other."""
    if not spec.startswith(MUTANT):
        return spec
    first = spec.removeprefix(MUTANT).partition(":")[0]
    return first if first in TRANSPORTS else TRANSPORTS[0]


def _mutant(words: str, contract: Contract) -> BindingFactory:
    try:
        from ampybus_contract.harness.generated import catalogue  # noqa: PLC0415  needs an extra
    except ModuleNotFoundError as error:
        raise missing_extra("hypothesis", "conformance") from error
    name = transport_of(f"{MUTANT}{words}")
    build = catalogue(contract).find(words.removeprefix(f"{name}:")).build
    make = transport(name, contract)
    return lambda: build(make(), contract)


def _process(words: str, isolation: Isolation) -> BindingFactory:
    try:
        command = shlex.split(words)
    except ValueError as error:
        raise TargetError(f"TARGET expected a command line, got {words!r}: {error}. Fix: quote it") from error
    if not command:
        raise TargetError("TARGET expected a command after 'process:', got none. Fix: name the adapter")
    return spoken(command, isolation)


def _named(spec: str) -> tuple[str, str]:
    """Module and attribute. Raises TargetError."""
    module_name, colon, attribute = spec.partition(":")
    if not colon or not module_name or not attribute:
        raise TargetError(
            f"TARGET expected memory, nats, kafka or package.module:factory, got {spec!r}. "
            "Fix: name the module and, after a colon, what makes the binding"
        )
    return module_name, attribute


def _imported(spec: str) -> BindingFactory:
    module_name, attribute = _named(spec)
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: object = importlib.import_module(module_name)
        for name in attribute.split("."):
            found = getattr(found, name)
    except AttributeError as error:
        raise TargetError(
            f"TARGET expected {attribute!r} in {module_name}, got: {error}. Fix: define it"
        ) from error
    except Exception as error:
        raise TargetError(
            f"TARGET expected to import {module_name!r}, got {type(error).__name__}: {error}. "
            "Fix: run from its directory or install it, and see that it imports"
        ) from error
    if not callable(found):
        raise TargetError(f"TARGET expected something callable in {spec!r}, got {type(found).__name__}")

    def factory() -> Binding:
        made: Binding = found()
        return made

    return factory
