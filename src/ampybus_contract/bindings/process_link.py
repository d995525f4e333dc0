"""The conversation with one adapter process: commands and answers, deliveries and settlements."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
from collections.abc import Mapping, Sequence
from typing import Any

from ampybus_contract.bindings.process_child import Child, Surroundings, below, quoted
from ampybus_contract.bindings.process_lines import (
    LONGEST_LINE,
    PROTOCOL,
    LineWriter,
    envelope_from,
    read,
)
from ampybus_contract.bindings.protocol import Handler, Settlement
from ampybus_contract.envelope import Envelope
from ampybus_contract.errors import AdapterError, PublishError, TargetError

HELLO_SECONDS = 10.0
FIRST_HELLO_SECONDS = 30.0
ANSWER_SECONDS = 12.0
TURN_SECONDS = 2.0
TURNS = 3
DOOM_SECONDS = 1.0
END_SECONDS = 3.0
STACK_SECONDS = 0.5
MOST_IN_HAND = 5_000
NAMES_KEPT = 4_096
SHOWN = 300
STACK_SIGNAL = signal.SIGUSR1
"""A patient link's adapter writes its stack to standard error when it gets this."""


class UnsupportedError(AdapterError):
    """The adapter does not know a command."""


class ProcessLink:
    """Speaks the protocol with a process from ``open`` to ``end``; forgets what is settled.

    The first thing that breaks the protocol stays in ``fault``. Arguments as of ``ProcessBinding``.
    """

    def __init__(
        self,
        command: Sequence[str],
        claimed: frozenset[str] | None,
        answer_seconds: float,
        surroundings: Surroundings,
        patient: bool = False,
    ) -> None:
        self.command = tuple(command)
        self.claimed = claimed
        self.answer_seconds = answer_seconds
        self.surroundings = surroundings
        self.patient = patient
        self.child: Child | None = None
        self.writer = LineWriter(self._write)
        self.fault: AdapterError | None = None
        self.ended = False
        self.held = False
        self.doomed = False
        self.last = asyncio.Lock()
        self.before: set[asyncio.Task[None]] = set()
        self.asked = 0
        self.answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.late: set[int] = set()
        self.handlers: dict[int, Handler] = {}
        self.in_hand: dict[str, asyncio.Task[None]] = {}
        self.names: dict[str, None] = {}
        self.readers: list[asyncio.Task[None]] = []

    async def open(self) -> frozenset[str]:
        """Start the process and learn what it claims. Raises AdapterError where it breaks the protocol."""
        self.child = await Child.start(self.command, self.surroundings)
        works = (self._read(self.child), self._see(self.child))
        self.readers = [asyncio.create_task(work) for work in works]
        await self.hello(FIRST_HELLO_SECONDS)
        await self._honest()
        return self.claimed or frozenset()

    async def hello(self, seconds: float = HELLO_SECONDS) -> None:
        """Greet it. Raises AdapterError where it claims something else than before."""
        said = await self.ask("hello", seconds=seconds, protocol=PROTOCOL)
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

    async def ask(
        self, command: str, seconds: float = 0, handler: Handler | None = None, **given: Any
    ) -> dict[str, Any]:
        """The result of a command. Raises PublishError of ``publish``, and AdapterError."""
        number, answer = self._begin(command, given)
        if handler is not None:
            self.handlers[number] = handler
        limit = seconds or self.answer_seconds
        try:
            await self._room()
            if not (await asyncio.wait({answer}, timeout=limit))[0]:
                await self._unanswered(command, limit)
            return _result(command, await answer)
        finally:
            self._forget(number)

    def _begin(self, command: str, given: Mapping[str, Any]) -> tuple[int, asyncio.Future[dict[str, Any]]]:
        self.well()
        if self.child is None:
            raise AdapterError("ADAPTER expected to be started, got none running. Fix: start it")
        self.asked += 1
        answer = self.answers[self.asked] = asyncio.get_running_loop().create_future()
        self.writer.put({"id": self.asked, "command": command, **given})
        return self.asked, answer

    def _forget(self, number: int) -> None:
        """Nobody waits for this answer any more; it may still come."""
        if not self.answers.pop(number).done():
            self.late.add(number)

    async def _turns(self) -> bool:
        """Whether it answers a greeting soon: then its event loop turns, and it has read what came before."""
        number, answer = self._begin("hello", {"protocol": PROTOCOL})
        try:
            return bool((await asyncio.wait({answer}, timeout=TURN_SECONDS))[0])
        finally:
            self._forget(number)

    async def hold(self) -> None:
        """Hand over nothing more, and let arrive what was settled, for a moment at most."""
        self.held = True
        await self._drop_all()
        with contextlib.suppress(AdapterError):
            for _ in range(TURNS):
                await self._turns()

    def doom(self) -> None:
        """From now on hand over one message after another: the process ends after any of them.

        Else a handler could be done with a message whose settlement the process does not live to see.
        """
        self.doomed = True
        self.before = {*self.in_hand.values()} - {asyncio.current_task()}

    def well(self) -> None:
        """Raise what went wrong before, if anything did."""
        if self.fault is not None:
            raise self.fault

    async def kill(self) -> None:
        """Kill the process, what it did wrong is forgotten."""
        await self._gone()
        self.fault = None

    async def end(self) -> None:
        """Close its input, give it a moment, then kill it and what it started."""
        child = self.child
        if child is None:
            return
        self.writer.flush()
        child.stdin.close()
        if self.fault is None:
            for task in self.readers[1:]:
                task.cancel()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(END_SECONDS):
                    await child.exited.wait()
        before = self.fault
        await self._gone()
        self.fault = before

    async def _gone(self) -> None:
        child, self.child = self.child, None
        if child is None:
            return
        for task in self.readers:
            task.cancel()
        await child.kill()
        await self._drop_all()
        await asyncio.gather(*self.readers, return_exceptions=True)
        self._fail(AdapterError("ADAPTER expected a running adapter, got its end by the judge"))

    async def _drop_all(self) -> None:
        tasks = [*self.in_hand.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _honest(self) -> None:
        """Ask for something that no adapter knows."""
        name = f"no_such_{secrets.token_hex(4)}"
        try:
            said = await self.ask(name, seconds=HELLO_SECONDS)
        except UnsupportedError:
            return
        raise AdapterError(
            f"ADAPTER expected the error 'unsupported' for the command {name}, got {said!r:.80}. "
            "Fix: refuse commands that it does not know"
        )

    async def _unanswered(self, command: str, seconds: float) -> None:
        """Blame it; where the link is patient, only if its event loop does not turn. Raises AdapterError."""
        if self.patient and command != "hello" and await self._turns():
            return
        words = await self._stack()
        got = f"none; {quoted(words)}" if words else "none"
        self._blame(f"an answer to {command} within {seconds:g} s", got, "answer every command", words)
        self.well()

    async def _stack(self) -> str:
        """What it says where it stands, as the end of its log; nothing where it cannot be asked."""
        if not self.patient or self.child is None:
            return ""
        self.child.signal(STACK_SIGNAL)
        await asyncio.wait({self.child.logging}, timeout=STACK_SECONDS)
        return self.child.words()

    async def _room(self) -> None:
        """Wait until it has read enough of what was written."""
        if self.child is not None:
            with contextlib.suppress(ConnectionError):
                await self.child.stdin.drain()

    def _write(self, lines: bytes) -> None:
        if self.child is not None and not self.child.stdin.is_closing():
            self.child.stdin.write(lines)

    async def _read(self, child: Child) -> None:
        try:
            while line := await child.stdout.readline():
                self._take(read(line))
        except AdapterError as error:
            self._fail(error)
        except ValueError:
            self._blame(f"lines of at most {LONGEST_LINE} bytes", "a longer one", "end each line")

    async def _see(self, child: Child) -> None:
        """Blame it for its end, once all that it said before is read."""
        await child.exited.wait()
        await asyncio.wait({self.readers[0]}, timeout=END_SECONDS)
        self.ended = True
        words = await child.last_words()
        got = f"its end with code {child.process.returncode}; {quoted(words)}"
        self._blame("a running adapter", got, "see its standard error", words)

    def _take(self, line: dict[str, Any]) -> None:
        if "deliver" in line:
            self._deliver(line)
        elif "abandon" in line:
            task = self.in_hand.get(line["abandon"])
            if task is not None:
                task.cancel()
        else:
            self._answer(line)

    def _answer(self, line: dict[str, Any]) -> None:
        number = line["id"]
        answer = self.answers.get(number)
        if answer is not None and not answer.done():
            answer.set_result(line)
        elif number in self.late:
            self.late.remove(number)
        elif number > self.asked:
            got = f"one to {number}"
            self._blame("answers to commands that were given", got, "repeat the id of the command")
        else:
            self._blame("one answer, in time", f"another to command {number}", "answer once")

    def _deliver(self, line: dict[str, Any]) -> None:
        name, handler = line["deliver"], self.handlers.get(line["subscription"])
        if handler is None:
            self._blame("deliveries of a subscription", f"one of {line['subscription']}", "name its id")
        elif name in self.in_hand or name in self.names:
            self._blame("a new name for each delivery", repr(name), "never use a name twice")
        elif len(self.in_hand) >= MOST_IN_HAND:
            self._blame(f"at most {MOST_IN_HAND} unsettled deliveries", "more", "wait for settlements")
        elif not self.held:
            self.names[name] = None
            if len(self.names) > NAMES_KEPT:
                del self.names[next(iter(self.names))]
            task = asyncio.create_task(self._handle(handler, name, envelope_from(line["envelope"])))
            self.in_hand[name] = task
            task.add_done_callback(lambda _task: self.in_hand.pop(name, None))

    async def _handle(self, handler: Handler, name: str, envelope: Envelope) -> None:
        if not self.doomed:
            await self._settle(handler, name, envelope)
            return
        async with self.last:
            if self.before:
                await asyncio.wait(self.before, timeout=DOOM_SECONDS)
                self.before.clear()
                await self._ends_soon()
            if self.child is not None and not self.child.exited.is_set():
                await self._settle(handler, name, envelope)
                await self._ends_soon()

    async def _ends_soon(self) -> None:
        """Give the process a moment to end, as it was told to."""
        if self.child is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DOOM_SECONDS):
                    await self.child.exited.wait()

    async def _settle(self, handler: Handler, name: str, envelope: Envelope) -> None:
        settled: dict[str, str] = {"settle": name}
        try:
            settled["settlement"] = str(Settlement(await handler(envelope)))
        except Exception as error:
            settled |= {"settlement": str(Settlement.RETRY), "raised": f"{type(error).__name__}: {error}"}
        self.writer.put(settled)
        await self._room()

    def _blame(self, expected: str, got: str, fix: str, words: str = "") -> None:
        self._fail(AdapterError(f"ADAPTER expected {expected}, got {got}. Fix: {fix}{below(words)}"))

    def _fail(self, error: AdapterError) -> None:
        if self.fault is None:
            self.fault = error
        for answer in self.answers.values():
            if not answer.done():
                answer.set_exception(self.fault)
                answer.exception()


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
    message, trace = error["message"][:SHOWN], below(error.get("traceback", ""))
    if command == "hello" and error["kind"] == "target":
        raise TargetError(f"TARGET {message}{trace}")
    wanted = "a binding" if command == "hello" else f"{command} to succeed"
    raise AdapterError(f"ADAPTER expected {wanted}, got: {message}{trace}")
