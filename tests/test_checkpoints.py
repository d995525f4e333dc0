"""Checkpoints where no conformance check looks."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ampybus_contract import Envelope
from ampybus_contract.bindings.checkpoints import EVERYTHING, Checkpoints
from ampybus_contract.bindings.memory import MemoryTransport
from ampybus_contract.bindings.protocol import Endpoint, Settlement, Subscription
from ampybus_contract.bindings.reference import ReferenceBinding
from ampybus_contract.brokers.memory import MemoryBroker
from ampybus_contract.brokers.virtual_time import run_virtual
from ampybus_contract.contract import default_contract
from ampybus_contract.harness.workload import Workload

CONTRACT = default_contract()
MADE = Workload(CONTRACT, 1)
DOMAIN = MADE.keyed_domain()
KEYS = 3
RECORDS = [MADE.envelope(DOMAIN, number % KEYS) for number in range(4 * KEYS)]
PATTERN = ".".join([*RECORDS[0].topic.split(".")[:4], ">"])


def test_checkpoints_outlive_the_process(tmp_path: Path) -> None:
    first = Checkpoints(tmp_path / "checkpoints.sqlite")
    first.mark("group", "a", 7, 3)
    first.close()
    again = Checkpoints(tmp_path / "checkpoints.sqlite")
    assert again.of("group") == {"a": 7, EVERYTHING: 3}
    assert again.of("other") == {}
    again.close()


def test_keys_that_the_common_position_has_reached_are_forgotten() -> None:
    store = Checkpoints(None)
    store.mark("group", "a", 1, 0)
    store.mark("group", "b", 5, 0)
    store.mark("group", "c", 2, 2)
    assert store.of("group") == {"b": 5, EVERYTHING: 2}
    store.close()


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
