"""An adapter in a process of its own, with a fault on demand: the reference binding behind JSON lines."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from ampybus_contract.bindings.nats import NatsTransport
from ampybus_contract.bindings.protocol import Endpoint, Settlement, Subscription
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.envelope import Envelope, Headers
from ampybus_contract.errors import AmpyBusError, PublishError
from ampybus_contract.validation import InvalidEnvelopeError

FAULT = sys.argv[1] if len(sys.argv) > 1 else ""
CLAIMS = ["retry", "deduplication", "dlq"]


def say(**line: Any) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


class Forgetful(ReferenceBinding):
    """Remembers no effect."""

    def identities(self, envelope: Envelope) -> list[str]:
        return []


class Adapter:
    def __init__(self) -> None:
        self.binding = (Forgetful if FAULT == "forgets" else ReferenceBinding)(NatsTransport())
        self.settled: dict[str, asyncio.Future[str]] = {}
        self.hellos = 0

    async def hello(self, _line: dict[str, Any]) -> dict[str, Any]:
        self.hellos += 1
        changed = FAULT == "changes" and self.hellos > 1
        return {"protocol": 1, "name": "test", "capabilities": CLAIMS[:1] if changed else CLAIMS}

    async def start(self, line: dict[str, Any]) -> dict[str, Any]:
        place = line["endpoint"]
        await self.binding.start(Endpoint(place["url"], place["stream"], inbox=place["inbox"]))
        return {}

    async def publish(self, line: dict[str, Any]) -> dict[str, Any]:
        if FAULT == "crashes":
            sys.stderr.write("out of luck\n")
            sys.stderr.flush()
            os._exit(7)
        if FAULT == "hangs":
            await asyncio.Event().wait()
        if FAULT == "stalls":
            time.sleep(60)
        if FAULT == "floods":
            noise = json.dumps({"id": 1, "ok": {}}) + "\n"
            while True:
                sys.stdout.write(noise)
        if FAULT == "chatters":
            print("connected to the broker")
        if FAULT == "endless":
            sys.stdout.write("x" * 20_000_000)
            sys.stdout.flush()
        given = line["envelope"]
        payload = base64.b64decode(given["payload"])
        await self.binding.publish(Envelope(given["topic"], Headers(given["headers"]), payload))
        if FAULT == "twice":
            say(id=line["id"], ok={})
        if FAULT == "unasked":
            say(id=line["id"] + 1000, ok={})
        return {}

    async def subscribe(self, line: dict[str, Any]) -> dict[str, Any]:
        wanted = line["subscription"]

        async def handle(envelope: Envelope) -> Settlement:
            name = f"d{len(self.settled)}"
            if FAULT == "repeats" and name != "d0":
                name = "d0"
            self.settled[name] = asyncio.get_running_loop().create_future()
            payload = base64.b64encode(envelope.payload).decode()
            shown = {"topic": envelope.topic, "headers": dict(envelope.headers), "payload": payload}
            say(deliver=name, subscription=line["id"], envelope=shown)
            return Settlement(await self.settled[name])

        await self.binding.subscribe(Subscription(wanted["pattern"], wanted["group"]), handle)
        return {}

    async def stop(self, _line: dict[str, Any]) -> dict[str, Any]:
        await self.binding.stop()
        return {}

    async def answer(self, line: dict[str, Any]) -> None:
        known: dict[str, Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]] = {
            "hello": self.hello,
            "start": self.start,
            "publish": self.publish,
            "subscribe": self.subscribe,
            "stop": self.stop,
        }
        act = known.get(line["command"])
        if act is None:
            if FAULT == "agrees":
                say(id=line["id"], ok={})
            else:
                say(id=line["id"], error={"kind": "unsupported", "message": line["command"]})
            return
        try:
            say(id=line["id"], ok=await act(line))
        except (InvalidEnvelopeError, PublishError) as error:
            definite = getattr(error, "definite", True)
            say(id=line["id"], error={"kind": "publish", "message": str(error), "definite": definite})
        except AmpyBusError as error:
            say(id=line["id"], error={"kind": "failed", "message": str(error)})


async def serve() -> None:
    adapter, lines = Adapter(), asyncio.Queue[str]()
    loop = asyncio.get_running_loop()

    def listen() -> None:
        for text in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, text)
        loop.call_soon_threadsafe(lines.put_nowait, "")

    threading.Thread(target=listen, daemon=True).start()
    tasks = set()
    while text := await lines.get():
        line = json.loads(text)
        if "settle" in line:
            waiting = adapter.settled[line["settle"]]
            if not waiting.done():
                waiting.set_result(line["settlement"])
        else:
            task = asyncio.create_task(adapter.answer(line))
            tasks.add(task)
            task.add_done_callback(tasks.discard)


if __name__ == "__main__":
    asyncio.run(serve())
