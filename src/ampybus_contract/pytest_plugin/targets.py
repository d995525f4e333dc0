"""From the words of the command line to a binding and a broker."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ampybus_contract.bindings.protocol import Binding
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.brokers.memory import MemorySource
from ampybus_contract.brokers.protocol import Broker
from ampybus_contract.contract import Contract
from ampybus_contract.errors import TargetError
from ampybus_contract.harness.judge import BindingFactory


def binding_factory(spec: str, contract: Contract) -> BindingFactory:
    """A factory for ``memory``, ``nats`` or ``package.module:factory``. Raises TargetError."""
    if spec == "memory":
        from ampybus_contract.bindings.memory import MemoryTransport  # noqa: PLC0415  one binding a run

        return lambda: ReferenceBinding(MemoryTransport(), contract)
    if spec == "nats":
        try:
            from ampybus_contract.bindings.nats import NatsTransport  # noqa: PLC0415  needs an extra
        except ModuleNotFoundError as error:
            raise _no_nats() from error
        return lambda: ReferenceBinding(NatsTransport(), contract)
    return _imported(spec)


def _imported(spec: str) -> BindingFactory:
    module_name, colon, attribute = spec.partition(":")
    if not colon or not module_name or not attribute:
        raise TargetError(
            f"TARGET expected memory, nats or package.module:factory, got {spec!r}. "
            "Fix: name the module and, after a colon, what makes the binding"
        )
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


@contextmanager
def broker(spec: str | None, binding: str, contract: Contract) -> Iterator[Broker]:
    """The broker for a run, ended with it. Raises TargetError or BrokerError with what to do."""
    spec = spec or ("memory" if binding == "memory" else "embedded")
    if (spec == "memory") != (binding == "memory"):
        raise TargetError(
            f"TARGET expected binding and broker that fit, got {binding!r} on {spec!r}. "
            "Fix: the memory binding runs on the memory broker only; use --ampybus-broker embedded for others"
        )
    if spec == "memory":
        yield MemorySource()
        return
    if spec != "embedded" and not spec.startswith(("nats://", "tls://")):
        raise TargetError(
            f"TARGET expected memory, embedded or nats://…, got {spec!r}. Fix: choose one of these"
        )
    try:
        from ampybus_contract.brokers.nats_server import nats_server  # noqa: PLC0415  needs an extra
        from ampybus_contract.brokers.nats_stream import NatsSource  # noqa: PLC0415  needs an extra
    except ModuleNotFoundError as error:
        raise _no_nats() from error
    if spec != "embedded":
        source = NatsSource(spec, contract.topic.prefix, "NATS JetStream")
        source.verify()
        yield source
        return
    with nats_server() as server:
        source = NatsSource(server.url, contract.topic.prefix, "NATS JetStream, embedded")
        source.verify()
        source.settings = {**source.settings, "sync": "always", "replicas": "1"}
        yield source


def _no_nats() -> TargetError:
    return TargetError(
        "TARGET expected nats-py, it is not installed. Fix: pip install 'ampybus-contract[conformance]'"
    )
