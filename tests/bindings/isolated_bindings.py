"""Bindings for a process of their own, each bad in one way: what a judge must survive and name."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ampybus_contract.bindings.effects import MemoryEffects
from ampybus_contract.bindings.nats import NatsTransport
from ampybus_contract.bindings.protocol import Endpoint, Handler, Subscription
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.envelope import Envelope

LONG_SECONDS = 3_600


def good() -> ReferenceBinding:
    return ReferenceBinding(NatsTransport())


class Chatty(ReferenceBinding):
    """Prints whatever it does, and reads from standard input."""

    async def publish(self, envelope: Envelope) -> None:
        print("publishing", envelope.topic, flush=True)
        assert sys.stdin.read() == ""
        await super().publish(envelope)


def chatty() -> ReferenceBinding:
    print("made")
    return Chatty(NatsTransport())


class Reports(ReferenceBinding):
    """Writes what it can see of its surroundings to a file, in place of a publish."""

    async def publish(self, envelope: Envelope) -> None:
        seen = [
            os.getcwd(),
            *sys.argv,
            *sys.modules,
            *(f"{name}={text}" for name, text in os.environ.items()),
        ]
        Path(os.environ["SEEN"]).write_text("\n".join(seen))
        await super().publish(envelope)


def reports() -> ReferenceBinding:
    return Reports(NatsTransport())


class Breaks(ReferenceBinding):
    """Does something else than to publish."""

    async def publish(self, envelope: Envelope) -> None:
        await getattr(self, os.environ["HOW"])()

    async def exits(self) -> None:
        sys.exit("enough of this")

    async def dies(self) -> None:
        os._exit(7)

    async def blocks(self) -> None:
        time.sleep(LONG_SECONDS)

    async def eats(self) -> None:
        kept = []
        while True:
            kept.append(bytearray(16 * 1024 * 1024))

    async def forks(self) -> None:
        if os.fork() == 0:
            time.sleep(LONG_SECONDS)
        os._exit(3)

    async def daemons(self) -> None:
        words = [sys.executable, "-c", f"import time; time.sleep({LONG_SECONDS})"]
        process = subprocess.Popen(words, start_new_session=True)
        Path(os.environ["SEEN"]).write_text(str(process.pid))
        os._exit(4)

    async def raises(self) -> None:
        raise ZeroDivisionError("by mistake")


def breaks() -> ReferenceBinding:
    return Breaks(NatsTransport())


def factory_raises() -> Any:
    raise RuntimeError("no config")


def factory_exits() -> Any:
    sys.exit("not today")


def factory_blocks() -> Any:
    time.sleep(LONG_SECONDS)


class StartRaises(ReferenceBinding):
    async def start(self, endpoint: Endpoint) -> None:
        raise KeyError("password")


def start_raises() -> ReferenceBinding:
    return StartRaises(NatsTransport())


class Floods(ReferenceBinding):
    """Hands one message over for ever, without waiting for an answer."""

    async def subscribe(self, subscription: Subscription, handler: Handler) -> None:
        async def again(envelope: Envelope) -> Any:
            return await asyncio.gather(*(handler(envelope) for _ in range(20_000)))

        await super().subscribe(subscription, again)


def floods() -> ReferenceBinding:
    return Floods(NatsTransport())


KNOWN = MemoryEffects(100_000)
"""The effects of all bindings of one process."""


class Global(ReferenceBinding):
    """Remembers effects where a crash takes them along, and says that they last."""

    def effect_store(self, endpoint: Endpoint) -> Any:
        return KNOWN


def global_effects() -> ReferenceBinding:
    return Global(NatsTransport())


class Loop:
    """Hands what is published to its subscriber; a crash comes with the next answer, once asked for."""

    capabilities = frozenset({"durable_effects"})

    async def start(self, endpoint: Endpoint) -> None:
        self.handler: Handler | None = None

    async def subscribe(self, subscription: Subscription, handler: Handler) -> None:
        self.handler = handler

    async def publish(self, envelope: Envelope) -> None:
        assert self.handler is not None
        self.kept = envelope
        await self.handler(envelope)

    async def crash(self) -> None:
        assert self.handler is not None
        many = [asyncio.ensure_future(self.handler(self.kept)) for _ in range(20)]
        await asyncio.wait(many, return_when=asyncio.FIRST_COMPLETED)

    async def stop(self) -> None: ...
