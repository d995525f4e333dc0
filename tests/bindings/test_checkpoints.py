"""Checkpoints where no conformance check looks."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest

from ampybus_contract import Envelope
from ampybus_contract.bindings.checkpoints import EVERYTHING, Checkpoints
from ampybus_contract.bindings.memory import MemoryTransport
from ampybus_contract.bindings.protocol import Endpoint, Settlement, Subscription
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.bindings.transport import Incoming, Position, nothing
from ampybus_contract.brokers.memory import MemoryBroker
from ampybus_contract.brokers.virtual_time import run_virtual
from ampybus_contract.contract import default_contract
from ampybus_contract.errors import CheckpointError
from ampybus_contract.harness.workload import Workload

CONTRACT = default_contract()
MADE = Workload(CONTRACT, 1)
DOMAIN = MADE.keyed_domain()
KEYS = 3
RECORDS = [MADE.envelope(DOMAIN, number % KEYS) for number in range(4 * KEYS)]
PATTERN = ".".join([*RECORDS[0].topic.split(".")[:4], ">"])


def test_checkpoints_outlive_the_process(tmp_path: Path) -> None:
    first = Checkpoints(tmp_path / "checkpoints.sqlite")
    first.mark("group", "a", Position("one", 7), 3)
    first.mark("group", "a", Position("two", 1), 1)
    first.close()
    again = Checkpoints(tmp_path / "checkpoints.sqlite")
    assert again.of("group") == {"one": {"a": 7, EVERYTHING: 3}, "two": {EVERYTHING: 1}}
    assert again.of("other") == {}
    again.close()


def test_keys_that_the_common_position_of_their_part_has_reached_are_forgotten() -> None:
    store = Checkpoints(None)
    store.mark("group", "a", Position("one", 1), 0)
    store.mark("group", "b", Position("one", 5), 0)
    store.mark("group", "c", Position("two", 1), 0)
    store.mark("group", "c", Position("one", 2), 2)
    assert store.of("group") == {"one": {"b": 5, EVERYTHING: 2}, "two": {"c": 1, EVERYTHING: 0}}
    store.close()


def test_a_part_is_forgotten_alone() -> None:
    store = Checkpoints(None)
    for group, part in (("group", "one"), ("group", "two"), ("other", "one")):
        store.mark(group, "a", Position(part, 1), 0)
    store.forget("group", "one")
    assert (list(store.of("group")), list(store.of("other"))) == (["two"], ["one"])
    store.close()


def older(path: Path) -> None:
    """A file with one number for all parts, as it was made before there were parts."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE checkpoints (consumer TEXT, key TEXT, position INTEGER)")
    connection.execute("INSERT INTO checkpoints VALUES ('group', '', 7)")
    connection.commit()
    connection.close()


def of_a_later_format(path: Path) -> None:
    Checkpoints(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 3")
    connection.close()


def of_no_database(path: Path) -> None:
    path.write_text("not a database, by its first words" * 100)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (older, "those of format 1"),
        (of_a_later_format, "those of format 3"),
        (of_no_database, "not a database"),
    ],
)
def test_a_file_of_another_format_is_refused_and_left_as_it_is(
    make: Callable[[Path], None], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoints.sqlite"
    make(path)
    before = path.read_bytes()

    async def main() -> None:
        binding = ReferenceBinding(MemoryTransport(), CONTRACT)
        await binding.start(Endpoint("memory", "memory", MemoryBroker(), state=tmp_path))
        with pytest.raises(CheckpointError, match=rf"format 2 in .*{words}\. Fix: move it away"):
            await binding.resume(Subscription(PATTERN, "group"), ok)
        await binding.stop()

    run_virtual(main())
    assert path.read_bytes() == before


async def ok(_envelope: Envelope) -> Settlement:
    return Settlement.OK


class Scripted(MemoryTransport):
    """Hands out what it is told at each position, whatever the checkpoint, and keeps that."""

    def __init__(self, *script: tuple[Position, Envelope]) -> None:
        super().__init__()
        self.script = script
        self.after: dict[str, int] = {}

    async def follow(self, pattern: str, after: Mapping[str, int]) -> AsyncIterator[Incoming]:
        self.after = dict(after)
        for position, envelope in self.script:
            yield Incoming(position, envelope, nothing)
        await asyncio.Event().wait()


def resumed(state: Path, wanted: int, *script: tuple[Position, Envelope]) -> tuple[dict[str, int], list[int]]:
    """Resume over such a transport until so many records were applied; gives the checkpoint and which."""

    async def main() -> tuple[dict[str, int], list[int]]:
        transport = Scripted(*script)
        binding = ReferenceBinding(transport, CONTRACT)
        seen: list[int] = []

        async def handle(envelope: Envelope) -> Settlement:
            seen.append(RECORDS.index(envelope))
            return Settlement.OK

        await binding.start(Endpoint("memory", "memory", MemoryBroker(), state=state))
        await binding.resume(Subscription(PATTERN, "group"), handle)
        async with asyncio.timeout(60):
            while len(seen) < wanted:
                await asyncio.sleep(1)
        await binding.stop()
        return transport.after, sorted(seen)

    return run_virtual(main())


def test_each_part_has_a_checkpoint_of_its_own(tmp_path: Path) -> None:
    one, two = [Position("one", 7), Position("one", 9)], [Position("two", 0)]
    first = resumed(tmp_path, 3, *zip([*one, *two], RECORDS, strict=False))
    assert first == ({}, [0, 1, 2])
    assert resumed(tmp_path, 1, (Position("three", 3), RECORDS[3])) == ({"one": 9, "two": 0}, [3])
    assert resumed(tmp_path, 0) == ({"one": 9, "two": 0, "three": 3}, [])


def test_a_part_that_begins_anew_is_handed_over_whole_and_has_a_new_checkpoint(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path / "checkpoints.sqlite")
    key = ReferenceBinding(MemoryTransport(), CONTRACT).lane(RECORDS[1])
    store.mark("group", key, Position("one", 8), 5)
    store.close()
    script = [(Position("one", number), RECORDS[number]) for number in range(3)]
    assert resumed(tmp_path, 3, *script) == ({"one": 5}, [0, 1, 2])
    assert resumed(tmp_path, 0) == ({"one": 2}, [])


async def life(broker: MemoryBroker, state: Path, wanted: int, held: Envelope | None = None) -> list[str]:
    """Resume, take so many records except one that is held for ever, and be killed; gives what was taken."""
    binding = ReferenceBinding(MemoryTransport(), CONTRACT)
    seen: list[str] = []
    done = asyncio.Event()

    async def handle(envelope: Envelope) -> Settlement:
        if held is not None and envelope.headers["message_id"] == held.headers["message_id"]:
            await asyncio.Event().wait()
        seen.append(envelope.headers["message_id"])
        if len(seen) == wanted:
            done.set()
        return Settlement.OK

    await binding.start(Endpoint("memory", "memory", broker, state=state))
    await binding.resume(Subscription(PATTERN, "group"), handle)
    async with asyncio.timeout(1):
        await done.wait()
    await asyncio.sleep(1)
    await binding.kill()
    (state / "effects.sqlite").unlink()
    return seen


def test_only_what_a_key_has_not_settled_is_handed_out_again(tmp_path: Path) -> None:
    async def main() -> tuple[list[str], list[str]]:
        broker = MemoryBroker()
        for item in RECORDS:
            broker.publish(item)
        held = RECORDS[KEYS]
        of_key = len(RECORDS) // KEYS
        first = await life(broker, tmp_path, len(RECORDS) - of_key + 1, held)
        return first, await life(broker, tmp_path, of_key - 1)

    first, second = run_virtual(main())
    ids = [item.headers["message_id"] for item in RECORDS]
    assert sorted(first + second) == sorted(ids)
    assert second == ids[KEYS::KEYS]
