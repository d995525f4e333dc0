"""Virtual time: hours pass at once, and in order."""

from __future__ import annotations

import asyncio

import pytest

from ampybus_contract.brokers.virtual_time import run_virtual
from ampybus_contract.envelope.pattern import matches
from ampybus_contract.errors import BindingCrashError


async def wait(name: str, seconds: float, order: list[tuple[str, float]]) -> None:
    await asyncio.sleep(seconds)
    order.append((name, asyncio.get_running_loop().time()))


def test_timers_fire_in_order_at_their_time() -> None:
    order: list[tuple[str, float]] = []

    async def main() -> None:
        await asyncio.gather(wait("late", 7200, order), wait("early", 3600, order))

    run_virtual(main())
    assert order == [("early", 3600), ("late", 7200)]


def test_a_deadlock_is_an_error_and_no_hang() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(RuntimeError, match="nothing can ever happen"):
        run_virtual(main())


def test_going_in_circles_is_an_error_and_no_hang() -> None:
    async def main() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(BindingCrashError, match="without any time passing"):
        run_virtual(main())


@pytest.mark.parametrize(
    ("pattern", "topic", "expected"),
    [
        ("ampy.dev.>", "ampy.dev.bars.v1.XNAS.AAPL", True),
        ("ampy.dev.>", "ampy.dev", False),
        ("ampy.*.bars.v1.XNAS.AAPL", "ampy.dev.bars.v1.XNAS.AAPL", True),
        ("ampy.dev.bars.v1.XNAS.AA", "ampy.dev.bars.v1.XNAS.AAPL", False),
        ("ampy.dev.bars.>", "ampy.dev.bars2.v1.XNAS.AAPL", False),
        ("ampy.dev.bars.v1.*", "ampy.dev.bars.v1.XNAS.AAPL", False),
    ],
)
def test_patterns_compare_whole_tokens(pattern: str, topic: str, expected: bool) -> None:
    assert matches(pattern, topic) is expected
