"""A binding in another process and any language: JSON lines over its standard input and output."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
from collections import deque
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from ampybus_contract.bindings.process_lines import (
    LONGEST_LINE,
    PROTOCOL,
    endpoint_to,
    envelope_from,
    envelope_to,
    read,
    written,
)
from ampybus_contract.bindings.protocol import Endpoint, Handler, Settlement, Subscription
from ampybus_contract.envelope import Envelope
from ampybus_contract.errors import AdapterError, PublishError

HELLO_SECONDS = 10.0
ANSWER_SECONDS = 12.0
END_SECONDS = 3.0
MOST_IN_HAND = 5_000
KEPT_LOG_LINES = 40
LOG_CHUNK = 4096
SHOWN_LOG = 300


class ProcessBinding:
    """Speaks to one adapter process, which lives from ``start`` to ``stop``.

    Whatever breaks the protocol is remembered, and raised as AdapterError by the next call, ``stop`` at the
    latest. ``capabilities`` are those of its first hello; None takes what the first hello says.
    An answer must come within ``answer_seconds``.
    """

    def __init__(
        self,
        command: Sequence[str],
        capabilities: frozenset[str] | None = None,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self.command = tuple(command)
        self.answer_seconds = answer_seconds
        self.claimed = capabilities
        self.process: asyncio.subprocess.Process | None = None
        self.fault: AdapterError | None = None
        self.log: deque[bytes] = deque(maxlen=KEPT_LOG_LINES)
        self.answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.handlers: dict[int, Handler] = {}
        self.deliveries: set[str] = set()
        self.in_hand: set[asyncio.Task[None]] = set()
        self.readers: list[asyncio.Task[None]] = []
        self.asked = 0

    @property
    def capabilities(self) -> frozenset[str]:
        """What the adapter claims."""
        return self.claimed or frozenset()

    async def start(self, endpoint: Endpoint) -> None:
        """Start the process, greet it, and have it connect."""
        try:
            await self.greet()
            await self._ask("start", endpoint=endpoint_to(endpoint))
        except BaseException:
            await self._end()
            raise

    async def greet(self) -> frozenset[str]:
        """Start the process and learn what it claims. Raises AdapterError where it breaks the protocol."""
        try:
            self.process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=LONGEST_LINE,
                start_new_session=True,
            )
        except OSError as error:
            fix = "name a program that can be run"
            raise AdapterError(
                f"ADAPTER expected to start {self.command[0]}, got {error}. Fix: {fix}"
            ) from error
        self.readers = [asyncio.create_task(self._read()), asyncio.create_task(self._drain())]
        await self._hello()
        await self._honest()
        return self.capabilities

    async def leave(self) -> None:
        """End the process without asking it for anything."""
        await self._end()

    async def publish(self, envelope: Envelope) -> None:
        """Store an envelope."""
        await self._ask("publish", envelope=envelope_to(envelope))

    async def subscribe(self, subscription: Subscription, handler: Handler) -> None:
        """Have deliveries handed to the handler."""
        await self._subscribed("subscribe", subscription, handler)

    async def take_replays(self, subscription: Subscription, handler: Handler) -> None:
        """Have replays handed to the handler."""
        await self._subscribed("take_replays", subscription, handler)

    async def resume(self, subscription: Subscription, handler: Handler) -> None:
        """Go on from the checkpoint."""
        await self._subscribed("resume", subscription, handler)

    async def redrive(self, pattern: str, limit: int) -> int:
        """Publish dead letters again."""
        return int((await self._ask("redrive", pattern=pattern, limit=limit)).get("count", 0))

    async def lag(self, group: str) -> int:
        """What a group has not settled."""
        return int((await self._ask("lag", group=group)).get("count", 0))

    async def capture(self, pattern: str, session: Path) -> None:
        """Write a session file."""
        await self._ask("capture", pattern=pattern, path=str(session))

    async def audit(self, session: Path) -> Sequence[tuple[str, int]]:
        """What is wrong with a session file."""
        found = (await self._ask("audit", path=str(session))).get("damages", [])
        return [(str(item["damage"]), int(item["number"])) for item in found]

    async def slow_down(self, levels: int) -> None:
        """Hold back the lowest priorities."""
        await self._ask("slow_down", levels=levels)

    async def crash(self) -> None:
        """Have the adapter end itself after the next effect; the end is the answer."""
        with contextlib.suppress(AdapterError):
            await self._ask("crash")
        await self._end()
        self.fault = None

    async def kill(self) -> None:
        """Kill the process."""
        await self._end()
        self.fault = None

    async def stop(self) -> None:
        """Have it disconnect, and end the process. Raises what it did wrong, if anything."""
        try:
            if self.fault is None:
                await self._hello()
                await self._ask("stop")
        finally:
            await self._end()
        self._well()

    async def _hello(self) -> None:
        said = await self._ask("hello", seconds=HELLO_SECONDS, protocol=PROTOCOL)
        if said.get("protocol") != PROTOCOL or "capabilities" not in said:
            fix = "answer hello with protocol and capabilities"
            raise AdapterError(f"ADAPTER expected protocol {PROTOCOL}, got {said!r:.120}. Fix: {fix}")
        claimed = frozenset(said["capabilities"])
        if self.claimed is None:
            self.claimed = claimed
        if claimed != self.claimed:
            before, now = (", ".join(sorted(names)) or "none" for names in (self.claimed, claimed))
            raise AdapterError(
                f"ADAPTER expected the same capabilities all the time, got {before} and then {now}. "
                "Fix: decide what it claims before it starts"
            )

    async def _honest(self) -> None:
        """Ask for something that no adapter knows."""
        name = f"no_such_{secrets.token_hex(4)}"
        try:
            said = await self._ask(name, seconds=HELLO_SECONDS)
        except UnsupportedError:
            return
        raise AdapterError(
            f"ADAPTER expected the error 'unsupported' for the command {name}, got {said!r:.80}. "
            "Fix: refuse commands that it does not know"
        )

    async def _subscribed(self, command: str, subscription: Subscription, handler: Handler) -> None:
        self.handlers[self.asked + 1] = handler
        named = {"pattern": subscription.pattern, "group": subscription.group}
        await self._ask(command, subscription=named)

    async def _ask(self, command: str, seconds: float = 0, **given: Any) -> dict[str, Any]:
        self._well()
        self.asked += 1
        number = self.asked
        answer = self.answers[number] = asyncio.get_running_loop().create_future()
        limit = seconds or self.answer_seconds
        try:
            async with asyncio.timeout(limit):
                await self._write({"id": number, "command": command, **given})
                said = await answer
        except TimeoutError as error:
            self._blame(f"an answer to {command} within {limit:g} s", "none", "answer every command")
            assert self.fault is not None
            raise self.fault from error
        return _result(command, said)

    async def _write(self, line: dict[str, Any]) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        with contextlib.suppress(ConnectionError):
            self.process.stdin.write(written(line))
            await self.process.stdin.drain()

    async def _read(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        try:
            while line := await self.process.stdout.readline():
                self._take(read(line))
        except AdapterError as error:
            self._fail(error)
        except ValueError:
            self._blame(f"lines of at most {LONGEST_LINE} bytes", "a longer one", "end each line")
        else:
            code = await self.process.wait()
            await _within(END_SECONDS, self._logged())
            words = b"".join(self.log).decode(errors="replace")[-SHOWN_LOG:].strip()
            got = f"its end with code {code}; it said {words!r}"
            self._blame("a running adapter", got, "see its standard error")

    async def _drain(self) -> None:
        assert self.process is not None
        assert self.process.stderr is not None
        while chunk := await self.process.stderr.read(LOG_CHUNK):
            self.log.append(chunk)

    async def _logged(self) -> None:
        """Once all that it said is kept; something it started may hold its standard error open."""
        await asyncio.wait({self.readers[1]})

    def _take(self, line: dict[str, Any]) -> None:
        if "deliver" in line:
            self._deliver(line)
            return
        answer = self.answers.get(line["id"])
        if answer is None:
            got = f"one to {line['id']}"
            self._blame("answers to commands that were given", got, "repeat the id of the command")
        elif answer.done():
            self._blame("one answer, in time", f"another to command {line['id']}", "answer once")
        else:
            answer.set_result(line)

    def _deliver(self, line: dict[str, Any]) -> None:
        handler = self.handlers.get(line["subscription"])
        if handler is None:
            self._blame("deliveries of a subscription", f"one of {line['subscription']}", "name its id")
        elif line["deliver"] in self.deliveries:
            self._blame("a new name for each delivery", repr(line["deliver"]), "never use a name twice")
        elif len(self.in_hand) >= MOST_IN_HAND:
            self._blame(f"at most {MOST_IN_HAND} unsettled deliveries", "more", "wait for settlements")
        else:
            self.deliveries.add(line["deliver"])
            task = asyncio.create_task(
                self._handle(handler, line["deliver"], envelope_from(line["envelope"]))
            )
            self.in_hand.add(task)
            task.add_done_callback(self.in_hand.discard)

    async def _handle(self, handler: Handler, name: str, envelope: Envelope) -> None:
        try:
            settlement = await handler(envelope)
        except Exception:
            settlement = Settlement.RETRY
        await self._write({"settle": name, "settlement": str(settlement)})

    def _blame(self, expected: str, got: str, fix: str) -> None:
        self._fail(AdapterError(f"ADAPTER expected {expected}, got {got}. Fix: {fix}"))

    def _fail(self, error: AdapterError) -> None:
        if self.fault is None:
            self.fault = error
        for answer in self.answers.values():
            if not answer.done():
                answer.set_exception(self.fault)
                answer.exception()

    def _well(self) -> None:
        if self.fault is not None:
            raise self.fault

    async def _end(self) -> None:
        """Close its input, give it a moment, then kill it and what it started."""
        process, self.process = self.process, None
        if process is None:
            return
        before = self.fault
        assert process.stdin is not None
        process.stdin.close()
        if before is None:
            await _within(END_SECONDS, process.wait())
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        for task in (*self.readers, *self.in_hand):
            task.cancel()
        await asyncio.gather(*self.readers, *self.in_hand, return_exceptions=True)
        await process.wait()
        self.fault = before


class UnsupportedError(AdapterError):
    """The adapter does not know a command."""


def _result(command: str, said: dict[str, Any]) -> dict[str, Any]:
    if "ok" in said:
        found: dict[str, Any] = said["ok"]
        return found
    error = said["error"]
    if error["kind"] == "unsupported":
        raise UnsupportedError(
            f"ADAPTER expected {command}, as claimed, got 'unsupported': {error['message']}"
        )
    if error["kind"] == "publish" and command == "publish":
        raise PublishError(error["message"], definite=error.get("definite", False))
    raise AdapterError(f"ADAPTER expected {command} to succeed, got: {error['message'][:SHOWN_LOG]}")


async def _within(seconds: float, work: Coroutine[Any, Any, Any]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await work


def greeted(command: Sequence[str]) -> frozenset[str]:
    """What an adapter claims. Raises AdapterError where it does not even greet as the protocol says."""

    async def ask() -> frozenset[str]:
        binding = ProcessBinding(command)
        try:
            return await binding.greet()
        finally:
            await binding.leave()

    return asyncio.run(ask())
