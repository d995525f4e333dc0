"""Members of a consumer group that come and go."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from ampybus_contract.bindings.protocol import Binding
from ampybus_contract.envelope import Envelope
from ampybus_contract.harness.stage import Stage

ROUNDS = 3
MOST_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class _Member:
    """One member, and whether it works on a message that it cannot finish."""

    binding: Binding
    held_up: asyncio.Event


class _Group:
    """One group and the traffic of all keys that its members share."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.domain = stage.workload.keyed_domain()
        self.made: list[Envelope] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def join(self) -> _Member:
        """Another member, and a few messages of every key as it comes."""
        held_up = asyncio.Event()

        async def work(_envelope: Envelope, _attempt: int) -> None:
            await asyncio.sleep(self.stage.workload.random.random() * MOST_SECONDS)
            if not self.gate.is_set():
                held_up.set()
                await self.gate.wait()

        member = _Member(await self.stage.join(self.stage.pattern(self.domain), pause=work), held_up)
        await self.publish()
        return member

    async def publish(self) -> None:
        """A few messages of every key, keys side by side."""
        async with asyncio.TaskGroup() as producers:
            for key in range(self.stage.workload.keys(self.domain)):
                mine = [self.stage.workload.envelope(self.domain, key) for _ in range(ROUNDS)]
                self.made += mine
                producers.create_task(self.stage.publish(*mine, actor=f"producer {key}"))

    async def part(self, member: _Member) -> None:
        """Let a member go that has messages in hand, the first of each key half done."""
        await self.stage.applied(self.made)
        self.gate.clear()
        await self.publish()
        await self.stage.happens(member.held_up)
        leaving = asyncio.create_task(self.stage.part(member.binding))
        await asyncio.sleep(0)
        self.gate.set()
        await leaving


async def rebalance(stage: Stage) -> None:
    """Three members of one group, each of which joins or leaves in the middle of the work of the others."""
    group = _Group(stage)
    first = await group.join()
    second = await group.join()
    await group.part(first)
    await group.join()
    await group.part(second)
    await stage.healed([*group.made, *await stage.publish_until_acknowledged(group.domain)])
