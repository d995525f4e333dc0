"""A program that runs a Python binding behind JSON lines: ``python -m ampybus_contract.bindings.host SPEC``.

``SPEC`` is ``package.module:factory``. Standard input and output belong to the protocol; what the binding
prints goes to standard error.
"""

from __future__ import annotations

import asyncio
import ctypes
import faulthandler
import importlib
import inspect
import json
import os
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NoReturn

from ampybus_contract.bindings.process_lines import (
    LONGEST_LINE,
    PROTOCOL,
    LineWriter,
    endpoint_from,
    envelope_from,
    envelope_to,
)
from ampybus_contract.bindings.protocol import Handler, Settlement, Subscription
from ampybus_contract.envelope import Envelope
from ampybus_contract.errors import AmpyBusError, BindingCrashError, PublishError, TargetError

PR_SET_PDEATHSIG = 1
METHODS = ("start", "publish", "subscribe", "stop")
FRAMES = 4
"""How many places of a stack are told in a sentence."""

Answer = dict[str, Any]


class HandlerError(Exception):
    """What the handler raised, on the other side of the pipe."""


class Host:
    """One binding, and the commands that come for it."""

    def __init__(self, binding: Any, writer: LineWriter) -> None:
        self.binding = binding
        self.writer = writer
        self.settled: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.delivered = 0

    def take(self, line: dict[str, Any]) -> None:
        """Begin what a line asks for."""
        if "settle" in line:
            waiting = self.settled.pop(line["settle"], None)
            if waiting is not None and not waiting.done():
                waiting.set_result(line)
            return
        task = asyncio.create_task(self.obey(line))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def obey(self, line: dict[str, Any]) -> None:
        """Do what a command asks for, and answer it."""
        command = line["command"]
        act = COMMANDS.get(command)
        if act is None or (command in OPTIONAL and not hasattr(self.binding, command)):
            error = {"kind": "unsupported", "message": f"{command} is not a method of the binding"}
            self.writer.put({"id": line["id"], "error": error})
            return
        try:
            self.writer.put({"id": line["id"], "ok": await act(self, line)})
        except Exception as error:
            self.writer.put({"id": line["id"], "error": _told(command, error)})

    def handler(self, subscription: int) -> Handler:
        """What the binding hands its deliveries to: they are settled on the other side of the pipe."""

        async def handle(envelope: Envelope) -> Settlement:
            self.delivered += 1
            name = f"d{self.delivered}"
            line = {"deliver": name, "subscription": subscription, "envelope": envelope_to(envelope)}
            waiting = self.settled[name] = asyncio.get_running_loop().create_future()
            self.writer.put(line)
            try:
                answer = await waiting
            except asyncio.CancelledError:
                if self.settled.pop(name, None) is not None:
                    self.writer.put({"abandon": name})
                raise
            if "raised" in answer:
                raise HandlerError(answer["raised"])
            return Settlement(answer["settlement"])

        return handle


async def _hello(host: Host, _line: Answer) -> Answer:
    claims = sorted(str(name) for name in getattr(host.binding, "capabilities", ()))
    return {"protocol": PROTOCOL, "name": type(host.binding).__name__, "capabilities": claims}


async def _start(host: Host, line: Answer) -> Answer:
    await host.binding.start(endpoint_from(line["endpoint"]))
    return {}


async def _publish(host: Host, line: Answer) -> Answer:
    await host.binding.publish(envelope_from(line["envelope"]))
    return {}


def _subscribing(method: str) -> Callable[[Host, Answer], Awaitable[Answer]]:
    async def subscribe(host: Host, line: Answer) -> Answer:
        named = line["subscription"]
        wanted = Subscription(named["pattern"], named["group"])
        await getattr(host.binding, method)(wanted, host.handler(line["id"]))
        return {}

    return subscribe


async def _redrive(host: Host, line: Answer) -> Answer:
    return {"count": int(await host.binding.redrive(line["pattern"], line["limit"]))}


async def _lag(host: Host, line: Answer) -> Answer:
    return {"count": int(await host.binding.lag(line["group"]))}


async def _slow_down(host: Host, line: Answer) -> Answer:
    await host.binding.slow_down(line["levels"])
    return {}


async def _capture(host: Host, line: Answer) -> Answer:
    await host.binding.capture(line["pattern"], Path(line["path"]))
    return {}


async def _audit(host: Host, line: Answer) -> Answer:
    found = await host.binding.audit(Path(line["path"]))
    return {"damages": [{"damage": str(damage), "number": int(number)} for damage, number in found]}


async def _crash(host: Host, _line: Answer) -> NoReturn:
    """The binding says when; the process ends by a signal, so that nothing in it survives."""
    await host.binding.crash()
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


async def _stop(host: Host, _line: Answer) -> Answer:
    await host.binding.stop()
    return {}


COMMANDS: dict[str, Callable[[Host, Answer], Awaitable[Answer]]] = {
    "hello": _hello,
    "start": _start,
    "publish": _publish,
    "subscribe": _subscribing("subscribe"),
    "take_replays": _subscribing("take_replays"),
    "resume": _subscribing("resume"),
    "redrive": _redrive,
    "lag": _lag,
    "slow_down": _slow_down,
    "capture": _capture,
    "audit": _audit,
    "crash": _crash,
    "stop": _stop,
}
OPTIONAL = frozenset(COMMANDS) - {"hello", *METHODS}


def _told(command: str, error: Exception) -> Answer:
    """An error as an answer: of ``publish`` with whether it is definite, else with its traceback."""
    from ampybus_contract.validation import InvalidEnvelopeError  # noqa: PLC0415  where something fails only

    if command == "publish" and isinstance(error, InvalidEnvelopeError | PublishError):
        return {"kind": "publish", "message": str(error), "definite": bool(getattr(error, "definite", True))}
    trace = _trace(error)
    message = f"{type(error).__name__}: {error} ({_place(error)})"
    if command == "publish":
        sys.stderr.write(f"{message}\n{trace}\n")
        return {"kind": "publish", "message": message, "definite": False, "traceback": trace}
    return {"kind": "failed", "message": message, "traceback": trace}


def _refusal(error: AmpyBusError) -> Answer:
    """Why there is no binding, as the answer to the first greeting."""
    kind = "target" if isinstance(error, TargetError) else "failed"
    trace = _trace(error.__cause__) if error.__cause__ is not None else ""
    return {"kind": kind, "message": str(error), "traceback": trace}


def _frames(error: BaseException) -> list[traceback.FrameSummary]:
    """Where an error comes from, innermost last, without the frames of this program and of imports."""
    found = traceback.extract_tb(error.__traceback__)
    return [
        item
        for item in found
        if item.filename not in (__file__, importlib.__file__) and not item.filename.startswith("<frozen")
    ]


def _place(error: BaseException) -> str:
    named = [f"{Path(item.filename).name}:{item.lineno} in {item.name}" for item in _frames(error)[-FRAMES:]]
    return ", ".join(named) or "no line of the binding"


def _trace(error: BaseException) -> str:
    """The traceback of the binding's own lines, and of what the error was raised from."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    before = f"{_trace(cause)}\nand from it\n" if cause is not None else ""
    lines = "".join(traceback.format_list(_frames(error)))
    return before + lines + "".join(traceback.format_exception_only(error)).rstrip()


def factory(spec: str) -> Callable[[], Any]:
    """What makes the binding. Raises TargetError where there is no such thing."""
    module_name, _colon, attribute = spec.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
        for name in attribute.split("."):
            found = getattr(found, name)
    except Exception as error:
        there = module_name in sys.modules and isinstance(error, AttributeError)
        what = f"{attribute!r} in {module_name}" if there else f"to import {module_name!r}"
        fix = "define it" if there else "run from its directory or install it, and see that it imports"
        got = f"{type(error).__name__}: {error}"
        raise TargetError(f"expected {what}, got {got}. Fix: {fix}") from error
    if not callable(found):
        raise TargetError(f"expected something callable in {spec!r}, got {type(found).__name__}")
    make: Callable[[], Any] = found
    return make


def whole(make: Callable[[], Any]) -> Any:
    """A binding from its factory. Raises BindingCrashError where that fails, or a method is missing."""
    try:
        binding = make()
    except Exception as error:
        raise BindingCrashError(f"the factory raised {error!r}") from error
    missing = [name for name in METHODS if not inspect.iscoroutinefunction(getattr(binding, name, None))]
    if missing:
        kind, wanted = type(binding).__name__, ", ".join(METHODS)
        raise BindingCrashError(f"{kind} lacks {', '.join(missing)} of the async methods {wanted}")
    return binding


async def serve(spec: str, lines: int, answers: int) -> None:
    """Obey what is read from one file descriptor and answer on the other, until the first is at its end."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(LONGEST_LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(lines, "rb", 0))
    pipe, _protocol = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(answers, "wb", 0))
    writer = LineWriter(pipe.write)
    try:
        host = Host(whole(factory(spec)), writer)
    except (TargetError, BindingCrashError) as error:
        first = json.loads(await reader.readline() or b"{}")
        writer.put({"id": first.get("id", 1), "error": _refusal(error)})
        await reader.read()
        return
    while text := await reader.readline():
        host.take(json.loads(text))


def _private() -> tuple[int, int]:
    """Standard input and output for this program alone: what the binding prints goes to the log."""
    lines, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return lines, answers


def main(arguments: list[str]) -> int:
    """Serve one binding; gives the exit code."""
    lines, answers = _private()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    faulthandler.register(signal.SIGUSR1)
    try:
        asyncio.run(serve(arguments[0], lines, answers))
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
