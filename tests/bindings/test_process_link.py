"""The conversation with a process: what is settled is forgotten, and no answer is lost in a crash."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import ampybus_contract
from ampybus_contract.bindings import process_link
from ampybus_contract.bindings.process import ProcessBinding
from ampybus_contract.bindings.process_child import Surroundings
from ampybus_contract.bindings.process_lines import well_formed
from ampybus_contract.bindings.protocol import Endpoint, Settlement, Subscription
from ampybus_contract.envelope import Envelope, Headers
from ampybus_contract.errors import AdapterError
from ampybus_contract.pytest_plugin.isolation import HOST

HERE = Path(__file__).parent
SCHEMAS = Path(ampybus_contract.__file__).parent / "bindings/schema"
SCHEMA = Draft202012Validator(json.loads((SCHEMAS / "from-adapter.schema.json").read_text()))
ENVELOPE = Envelope("ampy.dev.bars.v1.XNAS.AAPL", Headers({"producer": "p", "note": " \U0001f600 "}), b"\x00")
SHOWN = {"topic": "t", "headers": {"a": "b"}, "payload": "AA=="}
MANY = 500


def binding() -> ProcessBinding:
    around = Surroundings({"PYTHONPATH": str(HERE)}, own_directory=True)
    command = (sys.executable, "-P", "-m", HOST, "isolated_bindings:Loop")
    return ProcessBinding(command, surroundings=around, patient=True)


async def started(handler: Any) -> ProcessBinding:
    made = binding()
    await made.start(Endpoint("loop://"))
    await made.subscribe(Subscription("ampy.>", "group"), handler)
    return made


def test_what_is_settled_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_link, "NAMES_KEPT", 10)
    got: list[Envelope] = []

    async def handle(envelope: Envelope) -> Settlement:
        got.append(envelope)
        return Settlement.OK

    async def play() -> tuple[int, ...]:
        made = await started(handle)
        await asyncio.gather(*(made.publish(ENVELOPE) for _ in range(MANY)))
        link = made.link
        kept = (len(link.answers), len(link.in_hand), len(link.late), len(link.names))
        await made.stop()
        return kept

    assert asyncio.run(play()) == (0, 0, 0, 10)
    assert got == [ENVELOPE] * MANY


def test_a_handler_that_raises_raises_in_the_process() -> None:
    async def handle(_envelope: Envelope) -> Settlement:
        raise LookupError("no such account")

    async def play() -> None:
        made = await started(handle)
        try:
            await made.publish(ENVELOPE)
        finally:
            await made.stop()

    with pytest.raises(Exception, match="HandlerError: LookupError: no such account"):
        asyncio.run(play())


def test_after_a_crash_is_asked_for_one_message_is_handled_at_a_time() -> None:
    handled = 0

    async def handle(_envelope: Envelope) -> Settlement:
        nonlocal handled
        handled += 1
        return Settlement.OK

    async def play() -> int:
        made = await started(handle)
        await made.publish(ENVELOPE)
        await made.crash()
        return handled

    assert asyncio.run(play()) == 2


def test_a_killed_process_is_gone_and_its_handlers_with_it() -> None:
    begun = asyncio.Event()
    ended: list[str] = []

    async def handle(_envelope: Envelope) -> Settlement:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")
        return Settlement.OK

    async def play() -> int | None:
        made = await started(handle)
        publishing = asyncio.create_task(made.publish(ENVELOPE))
        await begun.wait()
        child = made.link.child
        assert child is not None
        await made.kill()
        with pytest.raises(AdapterError):
            await publishing
        return child.process.returncode

    assert asyncio.run(play()) == -9
    assert ended == ["cancelled"]


LINES: list[Any] = [
    {"id": 1, "ok": {}},
    {"id": 1, "ok": {"protocol": 1, "name": "n", "capabilities": ["a", "b"]}},
    {"id": 1, "ok": {"count": 3}},
    {"id": 1, "ok": {"damages": [{"damage": "missing", "number": 2}]}},
    {"id": 1, "error": {"kind": "publish", "message": "m", "definite": True}},
    {"id": 1, "error": {"kind": "target", "message": "m", "traceback": "t"}},
    {"deliver": "d", "subscription": 2, "envelope": SHOWN},
    {"abandon": "d"},
    [],
    None,
    {},
    {"id": 0, "ok": {}},
    {"id": True, "ok": {}},
    {"id": "1", "ok": {}},
    {"id": 1},
    {"id": 1, "ok": []},
    {"id": 1, "ok": {}, "more": 1},
    {"id": 1, "ok": {"other": 1}},
    {"id": 1, "ok": {"protocol": 2}},
    {"id": 1, "ok": {"name": 2}},
    {"id": 1, "ok": {"count": -1}},
    {"id": 1, "ok": {"count": False}},
    {"id": 1, "ok": {"capabilities": ["a", "a"]}},
    {"id": 1, "ok": {"capabilities": [1]}},
    {"id": 1, "ok": {"damages": [{"damage": "lost", "number": 2}]}},
    {"id": 1, "ok": {"damages": [{"damage": "missing", "number": 0}]}},
    {"id": 1, "error": {"kind": "other", "message": "m"}},
    {"id": 1, "error": {"kind": "failed"}},
    {"id": 1, "error": {"kind": "failed", "message": 1}},
    {"id": 1, "error": {"kind": "failed", "message": "m", "definite": 1}},
    {"id": 1, "error": {"kind": "failed", "message": "m", "other": ""}},
    {"deliver": "", "subscription": 2, "envelope": SHOWN},
    {"deliver": "d", "subscription": 0, "envelope": SHOWN},
    {"deliver": "d", "subscription": 2, "envelope": {**SHOWN, "headers": {"a": 1}}},
    {"deliver": "d", "subscription": 2, "envelope": {"topic": "t", "headers": {}}},
    {"deliver": "d", "subscription": 2, "envelope": {**SHOWN, "key": "k"}},
    {"abandon": ""},
    {"abandon": "d", "id": 1},
]


@pytest.mark.parametrize("line", LINES, ids=json.dumps)
def test_the_quick_look_at_a_line_says_what_the_schema_says(line: Any) -> None:
    assert well_formed(line) == SCHEMA.is_valid(line)
